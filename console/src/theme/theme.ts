import {
  Button,
  Checkbox,
  type CSSVariablesResolver,
  convertCssVariables,
  createTheme,
  DEFAULT_THEME,
  Drawer,
  deepMerge,
  defaultCssVariablesResolver,
  Kbd,
  type MantineColorsTuple,
  Menu,
  Modal,
  mergeMantineTheme,
  Notification,
  Popover,
  SegmentedControl,
  Tabs,
  Tooltip,
} from "@mantine/core";
import tabs from "./tabs.module.css";

const marine: MantineColorsTuple = [
  "#e7f2fa", "#d0e5f5", "#a3cdec", "#71b2e2", "#4a9ddb", "#2f8fd3", "#1a7cc0", "#0f6cae", "#0b5c96", "#084a7a",
]; // biome-ignore format: ten shades, light to dark
const gray: MantineColorsTuple = [
  "#f8faf9", "#f1f4f2", "#e8ecea", "#dbe1de", "#cbd3cf", "#a7b2ac", "#7c8983", "#56635d", "#35413b", "#17201c",
]; // biome-ignore format: ten shades, light to dark
const dark: MantineColorsTuple = [
  "#e9efec", "#b3bfb9", "#8d9a94", "#5c6863", "#3a4440", "#2d3532", "#1d2321", "#151918", "#111514", "#0e1110",
]; // biome-ignore format: ten shades, light to dark
const red: MantineColorsTuple = [
  "#fcebee", "#f8d2d8", "#f0a5b0", "#e87586", "#e2556a", "#da465b", "#d43f54", "#bd2b43", "#ad1f38", "#8c1329",
]; // biome-ignore format: ten shades, light to dark

export const theme = createTheme({
  primaryColor: "marine",
  // The same in the dark: Mantine takes the letters of a filled button from the light shade, and they must be read on both.
  primaryShade: 7,
  autoContrast: true,
  luminanceThreshold: 0.35,
  colors: { marine, gray, dark, red },
  white: "#ffffff",
  black: "#17201c",
  fontFamily: "var(--font-sans)",
  fontFamilyMonospace: "var(--font-mono)",
  fontSizes: {
    xs: "var(--text-xs)",
    sm: "var(--text-sm)",
    md: "var(--text-md)",
    lg: "var(--text-lg)",
    xl: "var(--text-xl)",
  },
  defaultRadius: "sm",
  radius: { xs: "3px", sm: "5px", md: "8px", lg: "12px", xl: "18px" },
  spacing: { xs: "8px", sm: "12px", md: "16px", lg: "24px", xl: "32px" },
  cursorType: "pointer",
  focusRing: "auto",
  respectReducedMotion: true,
  components: {
    Button: Button.extend({ defaultProps: { size: "xs", variant: "default" } }),
    Checkbox: Checkbox.extend({ defaultProps: { size: "xs" } }),
    // Locking the scroll writes a <style> element, which the policy for styles forbids.
    Modal: Modal.extend({
      defaultProps: {
        lockScroll: false,
        centered: true,
        radius: "lg",
        overlayProps: { backgroundOpacity: 0.35, blur: 2 },
      },
    }),
    Drawer: Drawer.extend({ defaultProps: { lockScroll: false, overlayProps: { backgroundOpacity: 0.35, blur: 2 } } }),
    Menu: Menu.extend({ defaultProps: { shadow: "none", radius: "md", withinPortal: true } }),
    Popover: Popover.extend({ defaultProps: { shadow: "none", radius: "md" } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 250, withArrow: false, radius: "sm" } }),
    Tabs: Tabs.extend({ defaultProps: { keepMounted: false }, classNames: { list: tabs.list ?? "" } }),
    SegmentedControl: SegmentedControl.extend({ defaultProps: { size: "xs" } }),
    Kbd: Kbd.extend({ defaultProps: { size: "xs" } }),
    // Mantine's own grey is too pale to be read under a title.
    Notification: Notification.extend({ styles: { description: { color: "var(--ink-2)" } } }),
  },
});

/** Bind Mantine's own roles to the palette of tokens.css. */
const roles: CSSVariablesResolver = () => {
  const both = {
    "--mantine-color-body": "var(--surface)",
    "--mantine-color-text": "var(--ink)",
    "--mantine-color-dimmed": "var(--ink-3)",
    "--mantine-color-placeholder": "var(--ink-3)",
    "--mantine-color-anchor": "var(--accent-ink)",
    "--mantine-color-default": "var(--surface)",
    "--mantine-color-default-hover": "var(--surface-hover)",
    "--mantine-color-default-color": "var(--ink)",
    "--mantine-color-default-border": "var(--border-strong)",
    "--mantine-color-error": "var(--dead-ink)",
  };
  return { variables: {}, light: both, dark: both };
};

/**
 * Put Mantine's variables into the page as a constructed style sheet. Its provider would write a <style> element,
 * for which the Content-Security-Policy would have to allow inline styles.
 */
export function adoptTheme(): void {
  const merged = mergeMantineTheme(DEFAULT_THEME, theme);
  const variables = deepMerge(defaultCssVariablesResolver(merged), roles(merged));
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(convertCssVariables(variables, ":root"));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
