import { expect } from 'chai';
import {
  InvalidInputError,
  UnavailableError,
  UntrustedAnswerError,
  WrongCredentialsError,
} from '../../src/client/errors.ts';
import { discardLogin, isSameDerivation, type Login } from '../../src/client/login.ts';
import { DEFAULT_KDF_PARAMETERS } from '../../src/protocol/kdf.ts';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';
import {
  type ClientWorld,
  changingAnswers,
  losingAnswers,
  losingRequests,
  startClientWorld,
} from '../support/client_world.ts';
import { rejection } from '../support/rejection.ts';

describe('logging in', () => {
  let world: ClientWorld;
  let username: string;
  before(async () => {
    world = await startClientWorld();
    username = await world.newUser();
  });
  after(() => world.stop());
  afterEach(() => world.disturb(undefined));

  const logIn = (change: object = {}) =>
    world.client.logIn(world.transport, { username, password: 'old password', ...change });

  it('fails alike for a wrong password and for a name that nobody has', async () => {
    const [wrong, unknown] = [
      await rejection(logIn({ password: 'other' })),
      await rejection(logIn({ username: `nobody-${crypto.randomUUID()}` })),
    ];
    for (const error of [wrong, unknown]) expect(error).to.be.instanceOf(WrongCredentialsError);
    expect(unknown.message).to.equal(wrong.message);
  });

  it('refuses an empty password', async () => {
    expect(await rejection(logIn({ password: '' }))).to.be.instanceOf(InvalidInputError);
  });

  it('refuses limits that are no limits', async () => {
    for (const limits of [{ maximumRequests: 1.5 }, { maximumRequests: -2 }, { expirySeconds: Number.NaN }]) {
      expect(await rejection(logIn(limits))).to.be.instanceOf(InvalidInputError);
    }
  });

  // biome-ignore lint/suspicious/noExplicitAny: a server that lies in any field.
  const lies: [string, string, (message: any) => void][] = [
    ['B = 0', 'StartSession', (m) => m.ephPublicB.fill(0)],
    ['B = N', 'StartSession', (m) => m.ephPublicB.set(padGroupElement(GROUP.N))],
    [
      'a short B',
      'StartSession',
      (m) => {
        m.ephPublicB = m.ephPublicB.slice(1);
      },
    ],
    [
      'little memory',
      'StartSession',
      (m) => {
        m.kdf.memoryKib = 8;
      },
    ],
    [
      'one pass',
      'StartSession',
      (m) => {
        m.kdf.iterations = 1;
      },
    ],
    [
      'absurd memory',
      'StartSession',
      (m) => {
        m.kdf.memoryKib = 4_194_304;
      },
    ],
    [
      'no lane',
      'StartSession',
      (m) => {
        m.kdf.parallelism = 0;
      },
    ],
    [
      'another function',
      'StartSession',
      (m) => {
        m.kdf.algorithm = 2;
      },
    ],
    [
      'no parameters at all',
      'StartSession',
      (m) => {
        m.kdf = undefined;
      },
    ],
    [
      'a short salt',
      'StartSession',
      (m) => {
        m.srpSalt = m.srpSalt.slice(1);
      },
    ],
    [
      'no protocol',
      'StartSession',
      (m) => {
        m.serverProtocol = 0;
      },
    ],
    [
      'an attempt without an id',
      'StartSession',
      (m) => {
        m.ephemeralId = '';
      },
    ],
    [
      'a wrong proof',
      'AuthenticateSession',
      (m) => {
        m.serverProofM2[0] ^= 1;
      },
    ],
    [
      'no proof',
      'AuthenticateSession',
      (m) => {
        m.serverProofM2 = new Uint8Array();
      },
    ],
    [
      'a result that was touched',
      'AuthenticateSession',
      (m) => {
        m.encryptedResult[30] ^= 1;
      },
    ],
    [
      "another session's id",
      'AuthenticateSession',
      (m) => {
        m.sessionId = crypto.randomUUID();
      },
    ],
  ];
  for (const [what, method, lie] of lies) {
    it(`does not go on with ${what}`, async () => {
      world.disturb(changingAnswers(method, lie));
      expect(await rejection(logIn())).to.be.instanceOf(UntrustedAnswerError);
    });
  }

  // What both sides bind into the proof: a change on the way and the proofs no longer match.
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  const changes: [string, (message: any) => void][] = [
    ['the salt of the verifier', (m) => m.srpSalt.fill(1)],
    ['the salt of the derivation', (m) => m.masterKeySalt.fill(1)],
    ['the passes', (m) => Object.assign(m.kdf, { iterations: 4 })],
    ["the server's protocol", (m) => Object.assign(m, { serverProtocol: 2 })],
  ];
  for (const [what, change] of changes) {
    it(`fails when somebody on the way changes ${what}`, async () => {
      world.disturb(changingAnswers('StartSession', change));
      expect(await rejection(logIn())).to.be.instanceOf(WrongCredentialsError);
    });
  }

  it('gives up when the server stays away', async () => {
    world.disturb(async () => {
      throw new Error('ECONNREFUSED');
    });
    expect(await rejection(logIn())).to.be.instanceOf(UnavailableError);
  });

  it('begins again when a request or an answer is lost', async () => {
    for (const disturbance of [
      losingAnswers('StartSession', 'AuthenticateSession', 'AuthenticateSession'),
      losingRequests('StartSession', 'AuthenticateSession'),
    ]) {
      world.disturb(disturbance);
      (await logIn()).close();
    }
  });

  it('knows a derivation again by its salt and all of its parameters', () => {
    const kept = {
      srpSecret: new Uint8Array(32),
      masterKeySalt: new Uint8Array(32),
      kdf: DEFAULT_KDF_PARAMETERS,
    };
    for (const change of [
      { masterKeySalt: new Uint8Array(32).fill(1) },
      { kdf: { ...DEFAULT_KDF_PARAMETERS, iterations: 4 } },
      { kdf: undefined },
    ])
      expect(isSameDerivation(kept, { ...kept, ...change }), Object.keys(change).join()).to.equal(false);
    expect(isSameDerivation(kept, { ...kept })).to.equal(true);
  });

  it('leaves no key of a log-in that nobody goes on with', () => {
    let isClosed = false;
    const [srpSecret, masterKey] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(7)];
    const session = {
      close: () => {
        isClosed = true;
      },
    };
    discardLogin({ session, kept: { srpSecret }, masterKey } as unknown as Login);
    expect(isClosed).to.equal(true);
    for (const key of [srpSecret, masterKey]) expect(key).to.deep.equal(new Uint8Array(32));
  });

  it('works for the name in another form', async () => {
    (await logIn({ username: `  ${username.toUpperCase()}\u3000` })).close();
  });

  it('asks for the limits that the caller wants, and keeps to those in force', async () => {
    const vault = await logIn({ maximumRequests: 3, expirySeconds: 600 });
    const [session] = (await vault.listSessions()).filter(({ current }) => current);
    expect(session!.remainingRequests).to.equal(2);
    expect(session!.expiryTime!.getTime() - session!.createTime!.getTime()).to.equal(600_000);
    vault.close();
  });
});
