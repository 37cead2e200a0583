/** A logger that keeps its lines for the test to look at. */
import { pino } from 'pino';

export function collectingLog(): { log: pino.Logger; lines: string[] } {
  const lines: string[] = [];
  return { lines, log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }) };
}
