/** What parts of the database tell of what they do: as much of the server's logger as they use. */
export interface EventLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}
