import { defineMessages, formatNumber, plural } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Nodes",
    lead: "Processes of your applications that take attempts.",
    search: "Find by id, group, label or version",
    all: "All",
    status: { live: "Live", draining: "Draining", lost: "Lost" },
    node: "Node",
    group: "Group",
    state: "State",
    load: "Load",
    loadOf: (running: number, capacity: number | null) =>
      capacity === null
        ? `${formatNumber(running, "en")} running`
        : `${formatNumber(running, "en")} of ${formatNumber(capacity, "en")} running`,
    version: "Version",
    labels: "Labels",
    executors: "Executors",
    heartbeat: "Heartbeat",
    registered: "Registered",
    address: "Address",
    empty: "No node has registered",
    emptyHint:
      "A process of your application registers when it serves attempts: redrive.serve(), or the adapter of its web framework.",
    nothing: "No node matches",
    drain: "Drain",
    drainTitle: (id: string) => `Drain ${id}`,
    drainText: (running: number, others: number) =>
      `It gets no new attempts; ${running === 0 ? "none is" : formatNumber(running, "en")} running now may end. ${
        others === 0
          ? "It is the last live node of its group: tasks will park until another one registers."
          : `${plural(others, "other live node")} of its group takes over.`
      }`,
    drained: (id: string) => `${id} drains`,
    forget: "Forget",
    forgetTitle: (id: string) => `Forget ${id}`,
    forgetText: "It disappears from this list. If it still lives, it registers again by itself.",
    forgotten: (id: string) => `${id} is forgotten`,
  },
  {
    title: "节点",
    lead: "您的应用中接收尝试的进程。",
    search: "按 ID、组、标签或版本查找",
    all: "全部",
    status: { live: "在线", draining: "排空中", lost: "失联" },
    node: "节点",
    group: "组",
    state: "状态",
    load: "负载",
    loadOf: (running, capacity) =>
      capacity === null
        ? `${formatNumber(running, "zh")} 个执行中`
        : `${formatNumber(running, "zh")} / ${formatNumber(capacity, "zh")} 执行中`,
    version: "版本",
    labels: "标签",
    executors: "执行器",
    heartbeat: "心跳",
    registered: "注册时间",
    address: "地址",
    empty: "还没有注册的节点",
    emptyHint: "应用进程在提供尝试服务时注册：redrive.serve() 或其 Web 框架的适配器。",
    nothing: "没有匹配的节点",
    drain: "排空",
    drainTitle: (id) => `排空 ${id}`,
    drainText: (running, others) =>
      `不再分配新的尝试；正在执行的 ${formatNumber(running, "zh")} 个可以结束。${
        others === 0
          ? "它是该组最后一个在线节点：任务将被搁置，直到有新节点注册。"
          : `由该组其他 ${formatNumber(others, "zh")} 个在线节点接替。`
      }`,
    drained: (id) => `${id} 正在排空`,
    forget: "移除",
    forgetTitle: (id) => `移除 ${id}`,
    forgetText: "它将从列表中消失。如果仍然存活，它会自行重新注册。",
    forgotten: (id) => `已移除 ${id}`,
  },
);
