import { CoreApp, type DataQuery, type QueryEditorProps, type TimeRange } from '@grafana/data';
import { Alert, Button, LoadingPlaceholder } from '@grafana/ui';
import { type ComponentType, useRef, useState } from 'react';
import { type RouteComponentProps } from 'react-router-dom';
import { FrameView } from '../FrameView';
import { findDataSource, loadDataSource } from '../plugins';
import { PluginPage } from '../PluginPage';
import { runQueries } from '../query';
import { Picker } from '../Picker';
import { timeRange, urlTime } from '../time';
import { type Async, useAsync } from '../useAsync';
import { useWidth } from '../useWidth';

type Editor = ComponentType<Pick<QueryEditorProps<any, any>, 'datasource' | 'query' | 'onChange' | 'onRunQuery' | 'range'>>;
interface Run {
  query: DataQuery;
  range: TimeRange;
  count: number;
}

type Result = Awaited<ReturnType<typeof runQueries>>;

/** One data source's query editor, a button to run it, and the answer. `left` in the URL is the first query. */
export function ExplorePage({ location, history }: RouteComponentProps) {
  const params = new URLSearchParams(location.search);
  const uid = findDataSource(params.get('ds'))?.uid ?? '';
  const { value: source, error } = useAsync(() => loadDataSource(uid), uid);
  const first = params.get('left');
  const [query, setQuery] = useState<DataQuery>(() => ({ refId: 'A', ...JSON.parse(first ?? '{}') }));
  const range = timeRange(params.get('from'), params.get('to'));
  const [run, setRun] = useState<Run>(first ? { query, range, count: 1 } : { query, range, count: 0 });
  const answer = useAsync(async () => (run.count > 0 ? runQueries([run.query], run.range) : undefined), String(run.count));
  // Editors call onChange and onRunQuery in one go and expect the changed query to run.
  const latest = useRef(query);

  if (error) {
    return <Alert title="The data source did not load">{error.message}</Alert>;
  }
  if (!source) {
    return <LoadingPlaceholder text="Loading" />;
  }
  const Editor = source.plugin.components.QueryEditor as Editor;
  const complete = (q: DataQuery): DataQuery => ({
    ...source.api.getDefaultQuery?.(CoreApp.Explore),
    ...q,
    datasource: { uid, type: source.api.type },
  });
  const change = (q: DataQuery) => {
    latest.current = q;
    setQuery(q);
  };
  const go = () => setRun({ query: complete(latest.current), range, count: run.count + 1 });
  const setRange = ({ raw }: TimeRange) => {
    params.set('from', urlTime(raw.from));
    params.set('to', urlTime(raw.to));
    history.push(`?${params}`);
  };
  const actions = (
    <>
      <Picker range={range} onChange={setRange} />
      <Button icon="sync" onClick={go} data-testid="host-run-query">
        Run query
      </Button>
    </>
  );
  return (
    <PluginPage pageNav={{ text: 'Explore' }} actions={actions}>
      <Editor datasource={source.api} query={complete(query)} onChange={change} onRunQuery={go} range={range} />
      <Answer answer={answer} />
    </PluginPage>
  );
}

function Answer({ answer }: { answer: Async<Result | undefined> }) {
  const [ref, width] = useWidth();
  const { value, error, loading } = answer;
  const message = error?.message ?? value?.error?.message;
  return (
    <section ref={ref} data-testid="host-answer" data-state={loading ? 'loading' : 'done'} style={{ marginTop: 24 }}>
      {message && (
        <Alert title="Query failed" data-testid="host-query-error">
          {message}
        </Alert>
      )}
      {value && value.series.length === 0 && !message && <p data-testid="host-no-data">No data</p>}
      {value && width > 0 && <FrameView data={value} width={width} height={540} />}
    </section>
  );
}
