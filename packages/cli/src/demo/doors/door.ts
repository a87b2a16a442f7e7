/** What a door sensor says and understands. The same words from every door, so that only encryption tells them apart. */
export const DOOR_PORT = 15

/** Both words have six letters: the length of a payload, which a network sees, does not tell them apart. */
export type DoorState = 'opened' | 'closed'

/** Every door does this, in this order. */
export const DAY: readonly DoorState[] = ['opened', 'closed', 'opened']

/** What stands in the payloads of that day, in clear. */
export const DOOR_PAYLOADS: readonly Buffer[] = DAY.map((state, index) =>
  Buffer.from(`door ${state}, event ${index + 1} today`),
)

export const BUZZER = Buffer.from('buzzer on for five minutes')

/** The owner's payload codec, as ChirpStack and The Things Stack run them too. */
export const DOOR_CODEC = `function decodeUplink({ bytes, fPort }) {
  const text = String.fromCharCode(...bytes)
  const [, state, event] = /^door (opened|closed), event ([0-9]+) today$/.exec(text) || []
  if (fPort !== ${DOOR_PORT} || state === undefined) return { errors: ['not a door'] }
  return { data: { door: state, event: Number(event) } }
}
`
