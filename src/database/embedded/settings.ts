/** What PostgreSQL is told. Small machines are the measure: 60 MB in all, one process for each connection and no more. */

/** The role that the server connects as: it owns its database and is no superuser. */
export const ROLE = 'passmanager';
/** The one database of a cluster. */
export const DATABASE = 'passmanager';

/** `postgresql.conf`. Paths are relative to it, so that the data directory may be moved. */
export function postgresqlConf(maxConnections: number): string {
  const settings: Record<string, string> = {
    listen_addresses: "''",
    unix_socket_directories: "'../socket'",
    unix_socket_permissions: '0700',
    max_connections: `${maxConnections}`,
    superuser_reserved_connections: '0',
    reserved_connections: '0',
    shared_buffers: '32MB',
    maintenance_work_mem: '16MB',
    huge_pages: 'off',
    // A file in the data directory instead of one in /dev/shm, which a kill -9 would leave behind.
    dynamic_shared_memory_type: 'mmap',
    max_worker_processes: '0',
    max_parallel_workers_per_gather: '0',
    max_logical_replication_workers: '0',
    max_wal_senders: '0',
    max_replication_slots: '0',
    io_method: 'sync',
    autovacuum_max_workers: '2',
    jit: 'off',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    min_wal_size: '32MB',
    max_wal_size: '256MB',
    allow_alter_system: 'off',
    ssl: 'off',
    timezone: "'UTC'",
    log_timezone: "'UTC'",
    // Values never reach the log: no statements, no parameters, and no details, which quote the row that was refused.
    log_checkpoints: 'off',
    log_statement: 'none',
    log_min_error_statement: 'panic',
    log_parameter_max_length: '0',
    log_parameter_max_length_on_error: '0',
    log_error_verbosity: 'terse',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  return `# Written by the server at every start.\n${lines.join('\n')}\n`;
}

/** `pg_hba.conf`: one role, one database, over the socket. What guards the socket is its directory. */
export const PG_HBA_CONF = `# Written by the server at every start.\nlocal ${DATABASE} ${ROLE} trust\n`;

/**
 * What a new cluster runs once in single-user mode, a statement a line. The messages of refused statements go to the
 * client alone: they quote values.
 */
export const FIRST_STATEMENTS = [
  `create role ${ROLE} login`,
  `alter role ${ROLE} set log_min_messages = 'log'`,
  `create database ${DATABASE} owner ${ROLE}`,
]
  .map((statement) => `${statement};\n`)
  .join('');
