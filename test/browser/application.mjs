// An example application in a process of its own, started as `make run` does it.
//
// JAVA and CLASS_PATH, from scripts/browser-tests, say how.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const patience = 60_000; // milliseconds; a JVM starts in two seconds, unless the machine is busy

const running = new Set();
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')));

// Returns a free port that is still free after a restart: none of those from which systems take the client's side of
// connections, 32768 and above, where any program may come to sit on it meanwhile.
async function freePort() {
  for (;;) {
    const port = 11_000 + Math.floor(Math.random() * 20_000); // Above those that browsers refuse.
    const probe = createServer().listen(port);
    try {
      await once(probe, 'listening'); // Throws what the probe emits as an error.
      return port;
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
    } finally {
      probe.close();
    }
  }
}

// Starts examples/NAME and waits until it serves.
async function launch(name, port) {
  const child = spawn(process.env.JAVA, [
    '-XX:+IgnoreUnrecognizedVMOptions', '--enable-native-access=ALL-UNNAMED', '-XX:TieredStopAtLevel=1',
    '-cp', process.env.CLASS_PATH, 'clojure.main', '-m', `${name}.main`,
  ], { env: { ...process.env, PORT: String(port) }, stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const tooLong = setTimeout(() => child.kill('SIGKILL'), patience);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const address = line.match(/http:\/\/localhost:(\d+)\//);
      if (address) return { child, address: address[0], port: Number(address[1]) };
    }
  } finally {
    clearTimeout(tooLong);
  }
  throw new Error(`${name} ended, or took longer than ${patience} ms, without naming its address`);
}

export class Application {
  static async start(name) {
    const application = new Application();
    application.name = name;
    Object.assign(application, await launch(name, await freePort()));
    return application;
  }

  // Starts it again where it was: on the same port, in a new process.
  async start() {
    Object.assign(this, await launch(this.name, this.port));
  }

  // Ends the process, by SIGTERM as a service manager does, or by SIGKILL as a crash does.
  async stop(signal = 'SIGTERM') {
    if (!running.has(this.child)) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    const tooLong = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const [, by] = await ended;
    clearTimeout(tooLong);
    if (signal === 'SIGTERM' && by === 'SIGKILL') throw new Error(`${this.name} did not end within ${patience} ms`);
  }
}
