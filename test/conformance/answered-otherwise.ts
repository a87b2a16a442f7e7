/** What Mortise says to a published request where it does not say what the other implementation says. */
export type Instead =
  /** Refuses with this result. */
  | { readonly refuses: string }
  /** Answers with Success, and the device itself judges: its keys and the next JoinNonce. */
  | { readonly answers: 'as the device expects' }

export interface AnsweredOtherwise {
  readonly reason: string
  readonly instead: Instead
}

const AS_THE_DEVICE: Instead = { answers: 'as the device expects' }
const DUMMY_ANSWER: AnsweredOtherwise = {
  reason: 'the published answer is a dummy: its keys belong to no join, the test plays both servers',
  instead: AS_THE_DEVICE,
}
const FIRST_JOIN_NONCE: AnsweredOtherwise = {
  reason: 'its first JoinNonce is 0, which a device that wants a higher one than before may refuse; ours is 1',
  instead: AS_THE_DEVICE,
}

/** Every JoinReq case that is not answered as published, with the reason and with what is asserted instead. */
export const JOIN_REQ_ANSWERED_OTHERWISE: Readonly<Record<string, AnsweredOtherwise>> = {
  'tts-handlejoin-06-1.1.0-existing-device-dev-nonce-reset': {
    reason: 'needs a nonce reset, which here is an operation of its own, and never a standing permission to replay',
    instead: { refuses: 'JoinReqFailed' },
  },
  'tts-handlejoin-19-1.0.0-netid-mismatch': {
    reason: 'a network that the owner has not allowed has its own result code (TS002 1.0 table 24)',
    instead: { refuses: 'NoRoamingAgreement' },
  },
  'tts-handlejoin-20-1.0.0-no-netid': {
    reason: 'a device that no network may activate yet has its own result code (TS002 1.0 table 24)',
    instead: { refuses: 'ActivationDisallowed' },
  },
  'tts-handlejoin-21-1.0.0-address-not-authorized': {
    reason: 'a host name is no identity here: who calls with the certificate of another peer is not the SenderID',
    instead: { refuses: 'UnknownSender' },
  },
  'chirpstack-internal-1.0.2-ok': FIRST_JOIN_NONCE,
  'chirpstack-internal-1.0.2-cflist': FIRST_JOIN_NONCE,
  'chirpstack-internal-1.1-ok': FIRST_JOIN_NONCE,
  'csns3-joinreq-1.0.2': DUMMY_ANSWER,
  'csns3-joinreq-1.0.2-cflist': DUMMY_ANSWER,
  'csns3-joinreq-1.1': DUMMY_ANSWER,
  'csns3-joinreq-1.1-kek': DUMMY_ANSWER,
  'lorawanjs-joinreq-1.1-optneg0': {
    reason: 'derives the 1.1 keys although OptNeg is 0: a device of 1.1 then has those of 1.0 (LoRaWAN 1.1 §6.2.6)',
    instead: AS_THE_DEVICE,
  },
  'lorawanjs-replay': {
    reason: 'the same request again is a delivery that came twice and gets the same answer; a changed one is a replay',
    instead: AS_THE_DEVICE,
  },
}
