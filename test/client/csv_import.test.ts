import { expect } from 'chai';
import fc from 'fast-check';
import { CsvImportError, parsePasswordCsv } from '../../src/client/csv_import.ts';

function refusal(text: string): CsvImportError {
  try {
    parsePasswordCsv(text);
  } catch (error) {
    expect(error).to.be.instanceOf(CsvImportError);
    return error as CsvImportError;
  }
  throw new Error('it was expected to be refused');
}

describe('importing a password export', () => {
  it('refuses an empty file', () => {
    expect(refusal('').line).to.equal(undefined);
    expect(refusal('\ufeff\r\n').line).to.equal(undefined);
  });

  for (const column of ['url', 'username', 'password']) {
    it(`refuses a header without ${column}`, () => {
      const header = ['name', 'url', 'username', 'password'].filter((name) => name !== column).join();
      expect(refusal(`${header}\na,b,c\n`)).to.include({ line: 1 });
    });
  }

  it('refuses a column that is there twice', () => {
    expect(refusal('url,username,password,password\na,b,c,d\n').line).to.equal(1);
  });

  for (const [what, row] of [
    ['a column too few', 'x,https://a.b,u'],
    ['a column too many', 'x,https://a.b,u,p,n,more'],
  ] as const) {
    it(`refuses a row with ${what} and names its line`, () => {
      const text = `name,url,username,password,note\n"two\nlines",https://a.b,u,p,\n${row}\n`;
      expect(refusal(text).line).to.equal(4);
    });
  }

  it('refuses a row that says nothing to name an entry by', () => {
    expect(refusal('name,url,username,password\n,,,secret\n').line).to.equal(2);
  });

  it('refuses broken quotes, and quotes nothing of the file', () => {
    for (const text of [
      'name,url,username,password\na,b,c,geh"eim,x\n',
      'name,url,username,password\na,b,c,"geheim\n',
      'name,url,username,password\na,b,c,"geheim"x\n',
    ]) {
      const error = refusal(text);
      expect(`${error.stack} ${JSON.stringify(error)} ${error.cause}`).not.to.include('geheim');
      expect(error.line).to.be.a('number');
    }
  });

  it('reads quotes, commas and line breaks inside of them, CRLF and a byte order mark', () => {
    const text =
      '\ufeffname,url,username,password,note\r\n"a, b",https://x.y/z,me,"p""q","one\r\ntwo"\r\n\r\n';
    expect(parsePasswordCsv(text)).to.deep.equal([
      {
        name: 'a, b',
        kind: 'login',
        website: 'https://x.y/z',
        username: 'me',
        password: 'p"q',
        notes: 'one\r\ntwo',
      },
    ]);
  });

  it('takes the columns in any order and case, without a note and with others that it does not know', () => {
    expect(parsePasswordCsv('Password,guid,URL,Username\np,1,https://a.b/login,u\n')).to.deep.equal([
      { name: 'a.b', kind: 'login', website: 'https://a.b/login', username: 'u', password: 'p' },
    ]);
  });

  it('names an entry by its address, or by its username, where it has no name', () => {
    const text = 'name,url,username,password\n,https://a.b,u,p\n,android app,u,p\n,,u,p\n';
    expect(parsePasswordCsv(text).map(({ name }) => name)).to.deep.equal(['a.b', 'android app', 'u']);
  });

  it('leaves spaces and everything else in passwords as they are', () => {
    const passwords = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(passwords, (wanted) => {
        const rows = wanted.map((password) => `n,u,me,"${password.replaceAll('"', '""')}"`);
        const entries = parsePasswordCsv(['name,url,username,password', ...rows].join('\n'));
        expect(entries.map(({ password }) => password)).to.deep.equal(wanted);
      }),
    );
  });
});
