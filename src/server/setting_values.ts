/** What a setting takes: how each kind of value is read of its text, and how a document names it. */
import { isIP } from 'node:net';
import { parseNetwork } from './client_address.ts';

/** A kind of value. */
export interface ValueKind<T> {
  /** What is allowed, as messages and the document say it. */
  readonly allowed: string;
  /** Throws RefusedValue. */
  readonly parse: (text: string) => T;
}

/** A value that a setting refuses; the message says what is allowed. */
export class RefusedValue extends Error {}

const refuse = (allowed: string): never => {
  throw new RefusedValue(allowed);
};

/** What `parse` makes of a text, refused when that is undefined. */
export const checked = <T>(allowed: string, parse: (text: string) => T | undefined): ValueKind<T> => ({
  allowed,
  parse: (text) => parse(text) ?? refuse(allowed),
});

/** A whole number, the two included. */
export const integer = (minimum: number, maximum: number): ValueKind<number> =>
  checked(`a whole number from ${minimum} to ${maximum}`, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= minimum && value <= maximum ? value : undefined;
  });

/** One of these words. */
export const oneOf = <T extends string>(...values: readonly T[]): ValueKind<T> =>
  checked(values.join(', '), (text) => values.find((value) => value === text));

/** A switch. */
export const onOff: ValueKind<boolean> = checked('on, off', (text) =>
  text === 'on' || text === 'off' ? text === 'on' : undefined,
);

/** A path, or anything else that is taken as it is. */
export const path: ValueKind<string> = { allowed: 'a path', parse: (text) => text };

/** Where a listener listens: an IP address or a host name (RFC 1123 §2.1). */
export const host = checked('an IP address or a host name', (text) =>
  isIP(text) !== 0 || /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(text)
    ? text
    : undefined,
);

/** Origins of pages, with commas between, as a browser writes them. */
export const origins = checked('origins such as https://vault.example.org, with commas between', (text) => {
  const parts = text.split(',').map((part) => part.trim());
  return parts.every((part) => URL.canParse(part) && new URL(part).origin === part) ? parts : undefined;
});

/** Networks in CIDR notation, with commas between. */
export const networks = checked('networks such as 10.0.0.0/8 or fd00::/8, with commas between', (text) => {
  const parts = text.split(',').map((part) => part.trim());
  return parts.every((part) => parseNetwork(part) !== undefined) ? parts : undefined;
});

/** An IP address or localhost, and a port; IPv6 in brackets. */
export const hostAndPort = checked('an address and a port, such as 127.0.0.1:9464', (text) => {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const name = bracketed ?? plain;
  if (name === undefined || Number(port) > 65_535) return undefined;
  return isIP(name) !== 0 || name === 'localhost' ? { host: name, port: Number(port) } : undefined;
});

/** The address of an HTTP service, without the slashes at its end. */
export const httpUrl = checked('an address such as http://127.0.0.1:4318', (text) => {
  if (!URL.canParse(text)) return undefined;
  const { protocol, search, hash, href } = new URL(text);
  return /^https?:$/.test(protocol) && search === '' && hash === '' ? href.replace(/\/+$/, '') : undefined;
});

/** A part of a whole. */
export const ratio = checked('a number from 0 to 1', (text) =>
  /^[01](\.\d{1,9})?$/.test(text) && Number(text) <= 1 ? Number(text) : undefined,
);

/** Whether a text is the URL of a PostgreSQL. */
export const isPostgresUrl = (text: string): boolean =>
  URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol);

/** The URL of a PostgreSQL. */
export const databaseUrl = checked('postgres://user:password@host:port/database', (text) =>
  isPostgresUrl(text) ? text : undefined,
);
