import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  retainSearchParams,
  stripSearchParams,
} from "@tanstack/react-router";
import { validateAlerts } from "@/pages/alerts/search";
import { validateDeadLetter } from "@/pages/dead-letter/search";
import { validateDeadLetters } from "@/pages/dead-letters/search";
import { validateGroup } from "@/pages/group/search";
import { validateGroups } from "@/pages/groups/search";
import { validateNodes } from "@/pages/nodes/search";
import { validateOverview } from "@/pages/overview/search";
import { validateRedrive } from "@/pages/redrive/search";
import { validateRedrives } from "@/pages/redrives/search";
import { validateScene } from "@/pages/scene/search";
import { validateSettings } from "@/pages/settings/search";
import { validateTargets } from "@/pages/targets/search";
import { validateTask } from "@/pages/task/search";
import { validateTasks } from "@/pages/tasks/search";
import { ErrorPage, NotFoundPage, RootPage } from "./root";
import { type RawSearch, text } from "./search";
import { namespace } from "./session";

const root = createRootRoute({
  component: RootPage,
  notFoundComponent: NotFoundPage,
  errorComponent: ErrorPage,
  validateSearch: (search: RawSearch): { namespace?: string } => ({ namespace: text(search.namespace) }),
  // Before anything of the page renders or asks for data: requests read it.
  beforeLoad: ({ search }) => {
    const shown = search.namespace ?? "default";
    if (namespace.get() !== shown) namespace.set(shown);
  },
  // Every link of a namespace stays in it; `default` needs no word.
  search: { middlewares: [retainSearchParams(["namespace"]), stripSearchParams({ namespace: "default" })] },
});
const under = () => root;

// A page is fetched when it is first opened; what its address holds is known at once.
const overview = createRoute({
  getParentRoute: under,
  path: "/",
  validateSearch: validateOverview,
  component: lazyRouteComponent(() => import("@/pages/overview")),
});
const tasks = createRoute({
  getParentRoute: under,
  path: "/tasks",
  validateSearch: validateTasks,
  component: lazyRouteComponent(() => import("@/pages/tasks")),
});
const task = createRoute({
  getParentRoute: under,
  path: "/tasks/$taskId",
  validateSearch: validateTask,
  component: lazyRouteComponent(() => import("@/pages/task")),
});
const deadLetters = createRoute({
  getParentRoute: under,
  path: "/dead-letters",
  validateSearch: validateDeadLetters,
  component: lazyRouteComponent(() => import("@/pages/dead-letters")),
});
const deadLetter = createRoute({
  getParentRoute: under,
  path: "/dead-letters/$fingerprint",
  validateSearch: validateDeadLetter,
  component: lazyRouteComponent(() => import("@/pages/dead-letter")),
});
const redrives = createRoute({
  getParentRoute: under,
  path: "/redrives",
  validateSearch: validateRedrives,
  component: lazyRouteComponent(() => import("@/pages/redrives")),
});
const redrive = createRoute({
  getParentRoute: under,
  path: "/redrives/$redriveId",
  validateSearch: validateRedrive,
  component: lazyRouteComponent(() => import("@/pages/redrive")),
});
const groups = createRoute({
  getParentRoute: under,
  path: "/groups",
  validateSearch: validateGroups,
  component: lazyRouteComponent(() => import("@/pages/groups")),
});
const group = createRoute({
  getParentRoute: under,
  path: "/groups/$group",
  validateSearch: validateGroup,
  component: lazyRouteComponent(() => import("@/pages/group")),
});
const scene = createRoute({
  getParentRoute: under,
  path: "/groups/$group/scenes/$scene",
  validateSearch: validateScene,
  component: lazyRouteComponent(() => import("@/pages/scene")),
});
const nodes = createRoute({
  getParentRoute: under,
  path: "/nodes",
  validateSearch: validateNodes,
  component: lazyRouteComponent(() => import("@/pages/nodes")),
});
const targets = createRoute({
  getParentRoute: under,
  path: "/targets",
  validateSearch: validateTargets,
  component: lazyRouteComponent(() => import("@/pages/targets")),
});
const alerts = createRoute({
  getParentRoute: under,
  path: "/alerts",
  validateSearch: validateAlerts,
  component: lazyRouteComponent(() => import("@/pages/alerts")),
});
const settings = createRoute({
  getParentRoute: under,
  path: "/settings",
  validateSearch: validateSettings,
  component: lazyRouteComponent(() => import("@/pages/settings")),
});

const routeTree = root.addChildren([
  overview,
  tasks,
  task,
  deadLetters,
  deadLetter,
  redrives,
  redrive,
  groups,
  group,
  scene,
  targets,
  nodes,
  alerts,
  settings,
]);

export const router = createRouter({ routeTree, defaultPreload: "intent", scrollRestoration: true });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
