import { type GrafanaTheme2 } from '@grafana/data';
import { fillsFor } from '../../flamegraph/colour';
import { type Palette } from '../../flamegraph/draw';

/** The colours of a graph's names under a Grafana theme. */
export function paletteFor(theme: GrafanaTheme2, names: readonly string[]): Palette {
  const dark = theme.isDark;
  return {
    fills: fillsFor(names, dark),
    text: '#15181f',
    callerText: theme.colors.text.primary,
    joined: dark ? '#6b6f78' : '#c9ccd3',
    faded: theme.colors.background.secondary,
    fadedText: theme.colors.text.disabled,
    outline: theme.colors.text.maxContrast,
    font: `12px ${theme.typography.fontFamilyMonospace}`,
  };
}
