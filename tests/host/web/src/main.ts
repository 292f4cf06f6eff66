// SystemJS must be global before anything else runs: it is what loads the plugin's modules.
import 'systemjs/dist/system.js';
import 'systemjs/dist/extras/amd.js';
import { start } from './host';

start(document.getElementById('host')!);
