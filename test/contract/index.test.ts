import { expect } from 'chai';
import * as contract from '../../src/contract/index.ts';

describe('the contract as a package entry', () => {
  it('keeps areas apart that have messages of the same names', () => {
    expect(contract.data.GetEntryPayloadSchema.typeName).to.equal('passmanager.data.v1.GetEntryPayload');
    expect(contract.password.GetEntryPayloadSchema.typeName).to.equal(
      'passmanager.password.v1.GetEntryPayload',
    );
  });

  it('has the five areas and their four services, and nothing else', () => {
    expect(Object.keys(contract)).to.have.members(['common', 'data', 'password', 'session', 'user']);
    const services = [
      contract.data.DataService,
      contract.password.PasswordService,
      contract.session.SessionService,
      contract.user.UserService,
    ];
    expect(services.map(({ typeName }) => typeName)).to.deep.equal([
      'passmanager.data.v1.DataService',
      'passmanager.password.v1.PasswordService',
      'passmanager.session.v1.SessionService',
      'passmanager.user.v1.UserService',
    ]);
  });
});
