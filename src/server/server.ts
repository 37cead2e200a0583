/** The composition root: builds everything that serves, in order, and takes it down in reverse. */
import { randomBytes } from 'node:crypto';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { openDatabase } from '../database/database.ts';
import { startEmbeddedPostgres } from '../database/embedded/embedded_postgres.ts';
import { migrate } from '../database/migrator.ts';
import { openServerKeys } from '../database/server_keys.ts';
import type { Config } from './config.ts';
import { DataHandler } from './data_handler.ts';
import { Decoys } from './decoys.ts';
import { FieldRules } from './field_rules.ts';
import { createGrpcDoor } from './grpc_door.ts';
import { Housekeeping } from './housekeeping.ts';
import { createHttpDoor } from './http_door.ts';
import type { Logger } from './log.ts';
import { PasswordHandler } from './password_handler.ts';
import { type HandlerOf, serviceRpcs } from './pipeline.ts';
import { DatabaseReadiness } from './readiness.ts';
import { RequestGate } from './request_gate.ts';
import { DEFAULT_FEED_TIMES, type FeedTimes, RevisionFeed } from './revision_feed.ts';
import { SessionHandler } from './session_handler.ts';
import { SessionKeys } from './session_keys.ts';
import { SrpPool } from './srp/srp_pool.ts';
import { UserHandler } from './user_handler.ts';

/** What tests put in place of the real thing. */
export interface Overrides {
  /** Secure random bytes. */
  readonly random?: (bytes: number) => Uint8Array;
  readonly feedTimes?: FeedTimes;
  readonly housekeepingMs?: number;
}
