import { expect } from 'chai';
import { CliContext } from '../../src/cli/context.ts';
import { ConfigError } from '../../src/server/config.ts';

describe('the context of a command', () => {
  const said: string[] = [];
  const terminal = {
    isInteractive: false,
    say: (line = '') => void said.push(line),
    note: () => {},
    progress: () => {},
    ask: async () => '',
  };

  it('refuses a configuration that is not good', () => {
    const context = new CliContext(terminal, { PASSMANAGER_GRPC_PORT: 'x' });
    expect(() => context.config()).to.throw(ConfigError);
    expect(() => context.settings()).to.throw(ConfigError);
  });

  it('reads the configuration when it is asked for', () => {
    expect(new CliContext(terminal, { PASSMANAGER_GRPC_PORT: '5' }).config().grpcPort).to.equal(5);
  });

  it('prints for a program or for a person', () => {
    const context = new CliContext(terminal, {});
    context.print({ a: 1 }, true, () => 'never');
    context.print({ a: 1 }, false, ({ a }) => [`${a} thing`, 'more']);
    expect(said).to.deep.equal(['{\n  "a": 1\n}', '1 thing', 'more']);
  });
});
