define(['@grafana/data', '@grafana/runtime', 'react'], function (data, runtime, react) {
  class DataSource extends runtime.DataSourceWithBackend {}
  function Editor(props) {
    return react.createElement('input', {
      'data-testid': 'fake-query', value: props.query.queryType || '',
      onChange: function (e) { props.onChange(Object.assign({}, props.query, { queryType: e.target.value })); },
    });
  }
  function Config(props) {
    return react.createElement('div', { 'data-testid': 'fake-ds-config' }, 'Data source ' + props.options.name);
  }
  return { plugin: new data.DataSourcePlugin(DataSource).setQueryEditor(Editor).setConfigEditor(Config) };
});
