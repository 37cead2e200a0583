import { expect } from 'chai';
import * as entries from '../../src/database/entry_statements.ts';
import * as gate from '../../src/database/gate_statements.ts';
import * as passwordChange from '../../src/database/password_change_statements.ts';
import * as rates from '../../src/database/rate_statements.ts';
import { statementSummary } from '../../src/database/statement_summary.ts';
import * as users from '../../src/database/user_statements.ts';

describe('the summary of a statement', () => {
  it('names no lock and no conflict clause, no function and no word behind them', () => {
    expect(statementSummary('select a from users where id = $1 for no key update')).to.equal('select users');
    expect(statementSummary('select a from users for update skip locked')).to.equal('select users');
    expect(statementSummary('insert into t (a) values ($1) on conflict (a) do update set a = $1')).to.equal(
      'insert t',
    );
    expect(statementSummary('select x from unnest($1) x')).to.equal('select');
    expect(statementSummary('select 1')).to.equal('select');
  });

  it('names what is written, each once, else the first table that is read', () => {
    expect(statementSummary(entries.CREATE_ENTRY)).to.equal(
      'update users, update login_sessions, insert secure_data',
    );
    expect(statementSummary(entries.GET_ENTRY.text)).to.equal('update login_sessions');
    expect(statementSummary(entries.GET_ENTRY.unspentText)).to.equal('select login_sessions');
    expect(statementSummary(users.FIND_LOGIN)).to.equal('select users');
    expect(statementSummary(gate.LOCK_ACCOUNT)).to.equal('select users');
  });

  it('is of a few words for every statement of the calls', () => {
    const texts = [entries, gate, passwordChange, rates, users]
      .flatMap((module) => Object.values<unknown>(module))
      .flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : [value]))
      .filter((value) => typeof value === 'string');
    expect(texts.length).to.be.greaterThan(40);
    for (const text of texts)
      expect(statementSummary(text), text).to.match(
        /^(select( [a-z_]+)?|(insert|update|delete) [a-z_]+(, (insert|update|delete) [a-z_]+){0,3})$/,
      );
  });
});
