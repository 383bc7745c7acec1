import { createTheme } from '@mantine/core';
import { takeMarked } from './components/takeMarked';

const system = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
const monospace = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

/** Fonts of the system: none is fetched, and text is there at once. */
export const theme = createTheme({
  primaryColor: 'indigo',
  primaryShade: { light: 7, dark: 8 },
  defaultRadius: 'md',
  fontFamily: system,
  fontFamilyMonospace: monospace,
  headings: { fontFamily: system, fontWeight: '650' },
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Badge: { defaultProps: { tt: 'none', fw: 600 } },
    // Who goes by with Tab wants to see none of the lists, and to close a dialog with one Escape.
    // Who types into one means the first that is left: Enter takes it, and does not send the form.
    Select: {
      defaultProps: { openOnFocus: false, selectFirstOptionOnChange: true, onKeyDownCapture: takeMarked },
    },
    MultiSelect: {
      defaultProps: { openOnFocus: false, selectFirstOptionOnChange: true, onKeyDownCapture: takeMarked },
    },
    Autocomplete: { defaultProps: { openOnFocus: false } },
    TagsInput: { defaultProps: { openOnFocus: false } },
    Menu: { styles: { itemLabel: { minWidth: 0 } } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: true } },
    Drawer: {
      defaultProps: { closeButtonProps: { 'aria-label': 'Close' } },
      styles: { title: { fontWeight: 650 } },
    },
    Modal: {
      defaultProps: {
        centered: true,
        closeButtonProps: { 'aria-label': 'Close' },
        overlayProps: { backgroundOpacity: 0.45 },
      },
      styles: { title: { fontWeight: 650 } },
    },
    // Not blurred as Mantine would: without a GPU that takes seconds for each dialog.
    Spotlight: { defaultProps: { overlayProps: { backgroundOpacity: 0.45 } } },
  },
});
