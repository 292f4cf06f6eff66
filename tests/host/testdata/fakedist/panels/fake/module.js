define(['@grafana/data', 'react'], function (data, react) {
  function Panel(props) {
    return react.createElement('div', { 'data-testid': 'fake-panel' }, props.data.series.length + ' frames, ' + props.width + ' wide');
  }
  return { plugin: new data.PanelPlugin(Panel).setPanelOptions(function (b) { b.addBooleanSwitch({ path: 'x', name: 'X', defaultValue: true }); }) };
});
