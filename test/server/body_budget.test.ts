import { PassThrough, Readable } from 'node:stream';
import { expect } from 'chai';
import { BodyBudget } from '../../src/server/body_budget.ts';

/** A request whose bytes come when the test says so, as node:http and node:http2 push them. */
class Request extends Readable {
  wasCut = false;
  override _read(): void {}
}

describe('BodyBudget', () => {
  let budget: BodyBudget;

  function arrive(bytes: number): { request: Request; free: () => void } {
    const request = new Request();
    const free = budget.watch(request, () => {
      request.wasCut = true;
    });
    if (bytes > 0) request.push(Buffer.alloc(bytes));
    return { request, free };
  }

  beforeEach(() => {
    budget = new BodyBudget(1000);
  });

  it('cuts the largest unfinished body when the budget is exceeded, and nobody else', () => {
    const small = arrive(200);
    const large = arrive(500);
    const newcomer = arrive(301);
    expect([small, large, newcomer].map(({ request }) => request.wasCut)).to.deep.equal([false, true, false]);
    expect(budget.heldBytes).to.equal(501);
  });

  it('cuts as many as it takes', () => {
    const bodies = [arrive(400), arrive(300), arrive(300)];
    const last = arrive(350);
    expect(bodies.map(({ request }) => request.wasCut)).to.deep.equal([true, false, false]);
    last.request.push(Buffer.alloc(600));
    // The last one has 950 bytes itself now, more than any other.
    expect(last.request.wasCut).to.equal(true);
    expect(budget.heldBytes).to.equal(600);
  });

  it('never cuts a body that is whole: it is being answered', () => {
    const whole = arrive(900);
    whole.request.push(null);
    const newcomer = arrive(101);
    expect(whole.request.wasCut).to.equal(false);
    expect(newcomer.request.wasCut).to.equal(true);
  });

  it('holds a whole body until its request is answered', () => {
    const { request, free } = arrive(600);
    request.push(null);
    expect(budget.heldBytes).to.equal(600);
    free();
    free();
    expect(budget.heldBytes).to.equal(0);
  });

  it('counts nothing of a body that was cut, whatever still comes of it', () => {
    const { request, free } = arrive(1001);
    expect(request.wasCut).to.equal(true);
    request.push(Buffer.alloc(500));
    free();
    expect(budget.heldBytes).to.equal(0);
  });

  it('takes no byte from who reads the request', async () => {
    const source = new PassThrough();
    const free = budget.watch(source, () => {});
    source.write('one ');
    source.end('two');
    let read = '';
    for await (const chunk of source) read += String(chunk);
    expect(read).to.equal('one two');
    expect(budget.heldBytes).to.equal(7);
    free();
  });
});
