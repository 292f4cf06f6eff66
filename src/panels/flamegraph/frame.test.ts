import { FieldType, toDataFrame } from '@grafana/data';
import { rowsOf } from '../../testing/stacks';
import { graphOfFrames } from './frame';

const FRAME = toDataFrame({
  fields: [
    { name: 'level', type: FieldType.number, values: [0, 1, 1] },
    { name: 'value', type: FieldType.number, values: [5, 3, 2], config: { unit: 'ns' } },
    { name: 'self', type: FieldType.number, values: [0, 3, 2], config: { unit: 'ns' } },
    { name: 'label', type: FieldType.string, values: ['total', 'a', 'b'] },
  ],
});
const SERIES = toDataFrame({ fields: [{ name: 'time', type: FieldType.time, values: [1] }] });

it('takes the first frame that is a nested set', () => {
  const found = graphOfFrames([SERIES, FRAME]);
  expect(found.kind === 'graph' && rowsOf(found.graph)).toEqual(['total@0+5', 'a@0+3 b@3+2']);
  expect(found.kind === 'graph' && found.graph.unit).toBe('ns');
});

it('reads labels sent as an enumeration', () => {
  const fields = FRAME.fields.map((field) =>
    field.name === 'label'
      ? { ...field, type: FieldType.enum, values: [0, 1, 1], config: { type: { enum: { text: ['total', 'x'] } } } }
      : field
  );
  const found = graphOfFrames([{ ...FRAME, fields }]);
  expect(found.kind === 'graph' && found.graph.names).toEqual(['total', 'x']);
});

it.each([
  [[], 'The query returned no data'],
  [[SERIES], 'A flame graph needs a frame with the fields level, value, self, label; this one lacks level, value, self, label'],
  [[{ ...FRAME, length: 0, fields: FRAME.fields.map((field) => ({ ...field, values: [] })) }], 'No profile matches'],
])('says why there is none (%#)', (frames, reason) => {
  expect(graphOfFrames(frames)).toEqual({ kind: 'none', reason });
});
