import { expect } from 'chai';
import { connectionsOf } from '../../src/server/embedded_connections.ts';

describe('the connections of the embedded PostgreSQL', () => {
  it('are enough for both pools of every process, its listener, and commands beside it', () => {
    expect(connectionsOf({ databasePoolSize: 10, workers: 1 })).to.equal(31);
    expect(connectionsOf({ databasePoolSize: 10, workers: 4 })).to.be.at.least(4 * 16 + 15);
    expect(connectionsOf({ databasePoolSize: 1, workers: 1 })).to.be.at.least(2 + 1 + 10);
  });
});
