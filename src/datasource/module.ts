import { DataSourcePlugin } from '@grafana/data';
import { ConfigEditor } from './ConfigEditor';
import { HearthDataSource } from './datasource';
import { QueryEditor } from './QueryEditor';
import { type HearthOptions, type HearthQuery, type HearthSecrets } from './types';

export const plugin = new DataSourcePlugin<HearthDataSource, HearthQuery, HearthOptions, HearthSecrets>(HearthDataSource)
  .setConfigEditor(ConfigEditor)
  .setQueryEditor(QueryEditor);
