export async function startEmbeddedPostgres(_o: {
  dataDir: string;
  log: unknown;
}): Promise<{ connection: { host: string; user: string; database: string }; stop(): Promise<void> }> {
  throw new Error('x');
}
