define(['@grafana/data', 'react', '@grafana/ui'], function (data, react, ui) {
  function Root(props) {
    return react.createElement('div', { 'data-testid': 'fake-root' },
      'Root at ' + props.basename, react.createElement(ui.Button, null, 'A button'));
  }
  function Config(props) {
    return react.createElement('div', { 'data-testid': 'fake-config' }, 'Server ' + (props.plugin.meta.jsonData.serverUrl || 'none'));
  }
  var plugin = new data.AppPlugin().setRootPage(Root).addConfigPage({ title: 'Settings', icon: 'cog', body: Config, id: 'settings' });
  return { plugin: plugin };
});
