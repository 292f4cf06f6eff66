// Starts the programs under test and sees to it that none outlives the run.
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { until } from './wait.mjs';

/** Asks the system for ports that nobody listens on. */
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => new Promise((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
    }))
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A program started by the run. Its output goes to a file. */
export class Program {
  static running = new Set();

  constructor(name, command, args, { env = {}, log }) {
    this.name = name;
    this.log = log;
    this.output = '';
    const file = createWriteStream(log, { flags: 'a' });
    this.child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.on('data', (chunk) => (this.output += chunk));
    this.child.stdout.pipe(file, { end: false });
    this.child.stderr.pipe(file, { end: false });
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => resolve(error.message));
      this.child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.ended.then((how) => {
      this.how = how;
      Program.running.delete(this);
      file.end();
    });
    Program.running.add(this);
  }

  /** Waits until the standard output matches and returns the match. */
  async says(pattern, timeout = 60_000) {
    return until(() => this.alive() && pattern.exec(this.output), `${this.name} to say ${pattern}`, timeout);
  }

  alive() {
    if (this.how !== undefined) {
      const said = `its last words, from ${this.log}:\n${tail(this.log)}`;
      throw Object.assign(new Error(`${this.name} ended (${this.how}); ${said}`), { final: true });
    }
    return true;
  }

  /** Asks the program to end and, where it does not, makes it. Says whether it ended by itself. */
  async stop(patience = 15_000) {
    if (this.how !== undefined) {
      return true;
    }
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const how = await this.ended;
    clearTimeout(timer);
    return how !== 'SIGKILL';
  }

  static async stopAll() {
    await Promise.all([...Program.running].map((program) => program.stop()));
  }
}

function tail(file) {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-15).join('\n');
}
