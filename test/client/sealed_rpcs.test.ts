import { getOption } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Access, access } from '../../gen/passmanager/common/v1/access_pb.ts';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { CHANGE_RPC, RPC } from '../../src/client/sealed_rpcs.ts';
import { methodPath } from '../../src/protocol/aad.ts';

describe('the table of sealed RPCs', () => {
  const rows = [...Object.values(RPC), ...Object.values(CHANGE_RPC)];

  it('has every RPC of the contract that is not public, and no other', () => {
    const sealed = [UserService, SessionService, DataService, PasswordService]
      .flatMap((service) => service.methods)
      .filter((method) => getOption(method, access) !== Access.PUBLIC);
    expect(rows.map(({ method }) => methodPath(method))).to.have.members(sealed.map(methodPath));
  });

  it('names for each the payload and the result of its own package', () => {
    for (const { method, payload, result } of rows) {
      const name = `${method.parent.file.proto.package}.${method.name}`;
      expect(payload.typeName).to.equal(`${name}Payload`);
      expect(result.typeName).to.equal(`${name}Result`);
    }
  });
});
