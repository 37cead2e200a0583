import { expect } from 'chai';
import { isConfidentialUrl, markConfidential } from '../../src/client/transport.ts';

describe('a transport', () => {
  for (const url of [
    'http://example.com',
    'http://192.168.1.5:8080',
    'http://127.0.0.1.example.com',
    'http://localhost.example.com',
    'http://notlocalhost:1',
    'http://0.0.0.0',
  ]) {
    it(`over ${url} can be read by others`, () => {
      expect(isConfidentialUrl(url)).to.equal(false);
    });
  }

  for (const url of [
    'https://example.com',
    'http://localhost:8080',
    'http://a.localhost',
    'http://127.3.2.1',
    'http://[::1]:9',
  ]) {
    it(`over ${url} cannot`, () => {
      expect(isConfidentialUrl(url)).to.equal(true);
    });
  }

  it('keeps its methods when it is marked', async () => {
    class Inner {
      readonly name = 'inner';
      unary() {
        return this.name;
      }
      stream() {
        return this.name;
      }
    }
    const marked = markConfidential(new Inner() as never, 'https://a');
    expect(marked.confidential).to.equal(true);
    expect((marked.unary as never as () => string)()).to.equal('inner');
    expect((marked.stream as never as () => string)()).to.equal('inner');
  });
});
