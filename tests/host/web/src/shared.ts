import * as emotionCss from '@emotion/css';
import * as emotionReact from '@emotion/react';
import * as grafanaData from '@grafana/data';
import * as grafanaRuntime from '@grafana/runtime';
import * as grafanaSchema from '@grafana/schema';
import * as grafanaUi from '@grafana/ui';
import * as d3 from 'd3';
import lodash from 'lodash';
import moment from 'moment';
import * as react from 'react';
import * as reactDom from 'react-dom';
import * as reactRouterDom from 'react-router-dom';
import * as reactRouterCompat from 'react-router-dom-v5-compat';
import * as rxjs from 'rxjs';
import * as rxjsOperators from 'rxjs/operators';
import { PanelRenderer } from './PanelRenderer';
import { PluginPage } from './PluginPage';

// The modules a plugin leaves out of its bundle. react/jsx-runtime is not among them: the lowest Grafana we support
// does not share it. `react-router` is version 6 and `react-router-dom` version 5, as in Grafana.
const modules: Record<string, object> = {
  '@emotion/css': emotionCss,
  '@emotion/react': emotionReact,
  '@grafana/data': grafanaData,
  // Grafana puts these two components in place through setters that the published packages do not export.
  '@grafana/runtime': { ...grafanaRuntime, PluginPage, PanelRenderer },
  '@grafana/schema': grafanaSchema,
  '@grafana/ui': grafanaUi,
  d3,
  lodash: { ...lodash, default: lodash },
  moment: Object.assign(moment, { default: moment }),
  react,
  'react-dom': reactDom,
  'react-router': reactRouterCompat,
  'react-router-dom': reactRouterDom,
  rxjs,
  'rxjs/operators': rxjsOperators,
};

/** Registers the shared modules with SystemJS, under ids that an import map leads to. */
export function shareModules() {
  const imports: Record<string, string> = {};
  for (const [name, module] of Object.entries(modules)) {
    const id = `package:${name}`;
    imports[name] = id;
    System.set(id, module as System.Module);
  }
  System.addImportMap({ imports });
}
