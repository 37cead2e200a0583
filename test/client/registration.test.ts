import { expect } from 'chai';
import {
  InsecureTransportError,
  InvalidInputError,
  type ServerRefusalError,
  UnavailableError,
  UntrustedAnswerError,
} from '../../src/client/errors.ts';
import {
  type ClientWorld,
  changingAnswers,
  losingAnswers,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('registering', () => {
  let world: ClientWorld;
  before(async () => {
    world = await startClientWorld();
  });
  after(() => world.stop());
  afterEach(() => world.disturb(undefined));

  const options = () => ({ username: `user-${crypto.randomUUID()}`, password: 'p' });

  it('is not done over a path that others can read, unless the caller insists', async () => {
    for (const confidential of [false, undefined]) {
      const transport = {
        unary: world.transport.unary,
        stream: world.transport.stream,
        ...(confidential === undefined ? {} : { confidential }),
      };
      world.called.length = 0;
      const refused = world.client.registerUser(transport, options());
      expect(await rejection(refused)).to.be.instanceOf(InsecureTransportError);
      expect(world.called).to.deep.equal([]);
      await world.client.registerUser(transport, { ...options(), allowInsecure: true });
    }
  });

  it('refuses an empty username, an empty password and weak parameters before it sends anything', async () => {
    world.called.length = 0;
    for (const change of [
      { username: ' ' },
      { password: '' },
      { kdf: { algorithm: 1, memoryKib: 1024, iterations: 3, parallelism: 1 } },
    ]) {
      const refused = world.client.registerUser(world.transport, { ...options(), ...change });
      expect(await rejection(refused)).to.be.instanceOf(InvalidInputError);
    }
    expect(world.called).to.deep.equal([]);
  });

  it('says that somebody has the name', async () => {
    const username = await world.newUser();
    const refused = world.client.registerUser(world.transport, {
      username: username.toUpperCase(),
      password: 'q',
    });
    expect(((await rejection(refused)) as ServerRefusalError).code).to.equal('username_exists');
  });

  it('does not believe an answer that names somebody else', async () => {
    world.disturb(changingAnswers('RegisterUser', (message) => message.usernameHash.fill(1)));
    expect(await rejection(world.client.registerUser(world.transport, options()))).to.be.instanceOf(
      UntrustedAnswerError,
    );
  });

  it('settles a lost answer with the same bytes', async () => {
    const user = options();
    world.disturb(losingAnswers('RegisterUser', 'RegisterUser'));
    await world.client.registerUser(world.transport, user);
    (await world.client.logIn(world.transport, user)).close();
  });

  it('gives up when nothing arrives', async () => {
    world.disturb(async () => {
      throw new Error('ECONNREFUSED');
    });
    expect(await rejection(world.client.registerUser(world.transport, options()))).to.be.instanceOf(
      UnavailableError,
    );
  });

  it('sends nothing of the name, and no verifier twice', async () => {
    const sent: { srpVerifier: Uint8Array; usernameHash: Uint8Array }[] = [];
    world.disturb(async ({ input, pass }) => {
      sent.push(input);
      return pass();
    });
    const user = options();
    await world.client.registerUser(world.transport, user);
    await world.client.registerUser(world.transport, { ...user, username: `${user.username}2` });
    expect(sent[0]!.srpVerifier).not.to.deep.equal(sent[1]!.srpVerifier);
    expect(
      JSON.stringify(sent, (_, value) =>
        value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
      ),
    ).not.to.include(user.username);
  });
});
