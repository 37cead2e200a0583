/** The one form in which a UUID goes over the wire (RFC 9562 §4): 36 characters, lower case. */

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in that form. Version and variant are not looked at. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
