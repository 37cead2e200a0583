/**
 * The floor of a log-in: OpenSSL's modular exponentiation in the protocol's group, 4096 bits with an exponent of 320. For
 * each line with a number it does so many and prints the processor time of one, in milliseconds.
 */
import { createDiffieHellman, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';

// Takes some seconds: OpenSSL tests the prime.
const group = createDiffieHellman(Buffer.from(padGroupElement(GROUP.N)), Buffer.from([Number(GROUP.g)]));
const peer = Buffer.from(randomBytes(512));
peer[0] = 0;
group.setPrivateKey(randomBytes(40));
group.computeSecret(peer);
process.stdout.write('ready\n');

for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line);
  const before = process.cpuUsage();
  for (let index = 0; index < count; index += 1) {
    group.setPrivateKey(randomBytes(40));
    group.computeSecret(peer);
  }
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${(user + system) / 1000 / count}\n`);
}
