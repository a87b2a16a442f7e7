/**
 * Makes the fleet of a benchmark, as a process: device records without signed orders. It takes a new HSM only, so that
 * none that has ever served gets a record this way.
 */
import type { Custody } from '../custody/custody.ts'
import { HsmError } from '../errors.ts'
import type { StoreState } from '../store/state.ts'
import { toBuffer } from '../worker/messages.ts'
import { answerQuestions } from './answer-questions.ts'
import type { FillDialogue } from './dialogue.ts'
import { FleetMaker } from './fleet-maker.ts'
import { openHsm, startCustody } from './open-hsm.ts'

let custody: Custody | undefined
let maker: FleetMaker | undefined

function refuseUsed({ lastBoot, lastWorker, epoch }: StoreState): void {
  if (lastBoot !== 0 || lastWorker !== 0 || epoch !== 1)
    throw new HsmError('token_failed', 'this HSM has served: only a new one is filled')
}

function opened(): Custody {
  if (custody === undefined) throw new HsmError('sealed')
  return custody
}

answerQuestions<FillDialogue>('mortise hsm bench fill', {
  open: (files) =>
    openHsm(files, 1, refuseUsed, ([start]) => {
      if (start === undefined) throw new HsmError('sealed')
      custody = startCustody(start)
      return { importPublicKey: start.importPublicKey }
    }),
  fleet(fleet) {
    maker = new FleetMaker(opened(), fleet)
    return {}
  },
  devices({ first, devEuis, subject }) {
    const records = devEuis.map((devEui, index) => {
      if (maker === undefined) throw new HsmError('key_missing', 'fleet')
      return maker.device(first + index, devEui)
    })
    const receipt = opened().receipts.append({
      ...{ operation: 'applyOrder', subject: toBuffer(subject), device: undefined, kekIds: [], appSKey: 'none' },
    })
    return { records, receipt }
  },
  close: () => opened().receipts.head(true),
})
