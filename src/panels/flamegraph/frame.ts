import { type DataFrame, type Field } from '@grafana/data';
import { type FlameGraph, graphFromNestedSet } from '../../flamegraph/graph';

const FIELDS = ['level', 'value', 'self', 'label'] as const;

/** What to draw of a panel's frames: the first nested-set frame, or why there is none. */
export type Found = { kind: 'graph'; graph: FlameGraph } | { kind: 'none'; reason: string };

export function graphOfFrames(frames: readonly DataFrame[]): Found {
  const frame = frames.find((candidate) => missingFields(candidate).length === 0);
  if (!frame) {
    const reason =
      frames.length === 0
        ? 'The query returned no data'
        : `A flame graph needs a frame with the fields ${FIELDS.join(', ')}; this one lacks ${missingFields(frames[0]).join(', ')}`;
    return { kind: 'none', reason };
  }
  const field = (name: string) => fieldOf(frame, name) as Field;
  const graph = graphFromNestedSet(
    {
      level: field('level').values,
      value: field('value').values,
      self: field('self').values,
      label: labelsOf(field('label')),
    },
    field('value').config.unit ?? 'short'
  );
  return graph.totalValue === 0 ? { kind: 'none', reason: 'No profile matches' } : { kind: 'graph', graph };
}

function fieldOf(frame: DataFrame, name: string): Field | undefined {
  return frame.fields.find((field) => field.name === name);
}

function missingFields(frame: DataFrame): string[] {
  return FIELDS.filter((name) => fieldOf(frame, name) === undefined);
}

/** Other data sources send labels as an enumeration: numbers, with the texts in the configuration. */
function labelsOf(field: Field): string[] {
  const texts = field.config.type?.enum?.text;
  return texts ? field.values.map((value: number) => texts[value] ?? '') : field.values;
}
