/** UUIDs as the protocol writes them. */

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text is a UUID in its only accepted form: 36 characters, lower-case. Version and variant are not looked at. */
export function isUuid(text: string): boolean {
  return text.length === 36 && UUID.test(text);
}
