import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { modexp } from '../../src/protocol/srp.ts';
import { nodeArgon2id } from '../support/argon2id.ts';
import { memoizeTools } from './memoized_tools.ts';
import { flipDigit, hexLeaves } from './mutations.ts';
import { verifyVectors } from './verify_vectors.ts';

const FILE = new URL('./protocol-v1.json', import.meta.url);

describe('the known answers of protocol v1', () => {
  const tools = memoizeTools({ argon2id: nodeArgon2id, modexp });
  let json: string;

  before(async () => {
    json = await readFile(FILE, 'utf8');
  });

  /** Whether the verifier notices something wrong with a changed file. */
  const isNoticed = (vectors: unknown): Promise<boolean> =>
    verifyVectors(vectors, tools).then(
      () => false,
      () => true,
    );

  it('are all what the code computes', async () => {
    await verifyVectors(JSON.parse(json), tools);
  });

  it('fail when any hex digit is another one', async () => {
    const leaves = hexLeaves(JSON.parse(json));
    expect(leaves).not.to.have.length(0);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...leaves), fc.nat(), fc.nat(), async (leaf, position, step) => {
        expect(await isNoticed(flipDigit(JSON.parse(json), leaf, position, step)), leaf.join('.')).to.equal(
          true,
        );
      }),
      { numRuns: 60 },
    );
  }).timeout(60_000);

  it('fail when a digit slipped in a value that is refused all the same', async () => {
    const slipped = [
      ['group_elements_refused', 'by_client_B', 20],
      ['group_elements_refused', 'by_server_A', 500],
      ['group_elements_refused', 'by_server_v', 1000],
    ] as const;
    for (const [section, list, position] of slipped) {
      const vectors = JSON.parse(json);
      const last = vectors[section][list].length - 1;
      expect(await isNoticed(flipDigit(vectors, [section, list, last], position, 3)), list).to.equal(true);
    }
    const vectors = JSON.parse(json);
    vectors.padding_refused.push(`${'22'.repeat(40)}23${'22'.repeat(23)}`);
    expect(await isNoticed(vectors)).to.equal(true);
  });

  it('fail when there is a value that the verifier does not know', async () => {
    const vectors = JSON.parse(json);
    vectors.logins[0].seals[0].comment = '';
    expect(await isNoticed(vectors)).to.equal(true);
  });

  it('fail when a value is missing', async () => {
    const vectors = JSON.parse(json);
    delete vectors.logins[0].M2;
    expect(await isNoticed(vectors)).to.equal(true);
  });

  it('fail for another suite and for a file without a login', async () => {
    expect(await isNoticed({ ...JSON.parse(json), suite: 'passmanager/v2' })).to.equal(true);
    expect(await isNoticed({ ...JSON.parse(json), logins: [] })).to.equal(true);
  });

  it('hold in files with fewer of them', async () => {
    const vectors = JSON.parse(json);
    const fewer = {
      ...vectors,
      usernames: [],
      padding: [],
      logins: vectors.logins.slice(-1),
      password_changes: [],
    };
    await verifyVectors(fewer, tools);
  });
});
