/** Of a topic with which an event is kept, in bytes of UTF-8. */
const MAX_TOPIC_BYTES = 1024

// Control characters and line separators would write lines of their own into a log; + and # are wildcards, and stand in
// no topic that something can be published to (MQTT 5.0 §4.7.1).
const NOT_IN_TOPICS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd+#]/u

/** Whether something can be published to this topic, and it can be told to people. */
export function isUsableTopic(topic: string): boolean {
  // What begins with $ is a broker's own (MQTT 5.0 §4.7.2): some end the connection of whoever publishes there, and to
  // others it is an order of an administrator.
  if (topic === '' || topic.startsWith('$')) return false
  return Buffer.byteLength(topic) <= MAX_TOPIC_BYTES && topic.isWellFormed() && !NOT_IN_TOPICS.test(topic)
}

/** Whether a subscription with this filter may bring this topic (MQTT 5.0 §4.7.1, §4.8.2). */
export function matchesFilter(topic: string, filter: string): boolean {
  const wanted = filter.replace(/^\$share\/[^/]*\//, '').split('/')
  const levels = topic.split('/')
  const rest = wanted.indexOf('#')
  if (rest < 0 ? levels.length !== wanted.length : levels.length < rest) return false
  return wanted.every((level, index) => level === '+' || level === '#' || level === levels[index])
}

/** Text of strangers for a line that people read: quoted, and cut where it is long. */
export function quoted(text: string): string {
  const cut = text.length > 100 ? `${text.slice(0, 100)}…` : text
  return JSON.stringify(cut).replace(/[\u007f-\u009f\u2028\u2029]/g, '�')
}

/** Text of the other side of a connection, for one line that people read. */
export function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
}
