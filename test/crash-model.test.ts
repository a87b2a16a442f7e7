import { describe, expect, test } from 'vitest'
import type { Attempt, JoinSuccess, KeySetModel } from './crash/key-set-model.ts'
import { Model } from './crash/model.ts'
import { makeSchedule, MOMENTS, VICTIMS } from './crash/schedule.ts'
import type { ViolationKind } from './crash/violations.ts'

/** A harness that cannot fail is worth nothing: every violation of joins is planted here, beside what must pass. */

const KEPT = 10

function success(joinNonce: number, comparable = `answer ${joinNonce}`): JoinSuccess {
  return { joinNonce, sessionKeyId: joinNonce.toString(16), appSKey: `key ${joinNonce}`, comparable }
}

/** A key set of a model, told of answers step by step. */
class Story {
  readonly model = new Model()
  readonly keySet: KeySetModel

  constructor(rule: 'random' | 'counter') {
    this.keySet = this.model.addKeySet('0102030405060708', rule)
  }

  send(digest: string, devNonce: number): Attempt {
    return this.keySet.sending(digest, devNonce)
  }

  accept(attempt: Attempt, joinNonce: number, comparable?: string): void {
    this.model.succeeded(this.keySet, attempt, success(joinNonce, comparable))
  }

  join(digest: string, devNonce: number, joinNonce: number): void {
    this.accept(this.send(digest, devNonce), joinNonce)
  }

  breakOff(digest: string, devNonce: number): void {
    this.model.unanswered(this.keySet, this.send(digest, devNonce))
  }

  replay(digest: string, devNonce: number): void {
    this.model.replayed(this.keySet, this.send(digest, devNonce))
  }

  get kinds(): ViolationKind[] {
    return this.model.violations.map(({ kind }) => kind)
  }
}

type Told = (story: Story) => void

describe('the model of the joins reports', () => {
  const planted: [string, 'random' | 'counter', ViolationKind, Told][] = [
    [
      'a JoinNonce in the answers to two requests',
      'random',
      'join_nonce_reused',
      (story) => {
        const [a, b] = [story.send('a', 1), story.send('b', 2)]
        story.accept(a, 1)
        story.accept(b, 1)
      },
    ],
    [
      'a JoinNonce below one that had been acknowledged before the request left',
      'random',
      'join_nonce_went_back',
      (story) => {
        story.join('a', 1, 5)
        story.join('b', 2, 4)
      },
    ],
    [
      'a DevNonce that two requests were accepted with',
      'random',
      'dev_nonce_reused',
      (story) => {
        story.join('a', 1, 1)
        story.join('changed a', 1, 2)
      },
    ],
    [
      'a counter that was accepted after a higher one',
      'counter',
      'dev_nonce_went_back',
      (story) => {
        story.join('a', 8, 1)
        story.join('b', 7, 2)
        story.model.finish()
      },
    ],
    [
      'another answer to the same request',
      'random',
      'answer_changed',
      (story) => {
        story.join('a', 1, 1)
        story.accept(story.send('a', 1), 1, 'other bytes')
      },
    ],
    [
      'another JoinNonce in the answer to the same request',
      'random',
      'answer_changed',
      (story) => {
        story.join('a', 1, 1)
        story.join('a', 1, 2)
      },
    ],
    [
      'an acknowledged join that is not known as the last any more',
      'random',
      'refused_without_reason',
      (story) => {
        story.join('a', 1, 1)
        story.replay('a', 1)
      },
    ],
    [
      'a DevNonce that is used up without any join',
      'random',
      'refused_without_reason',
      (story) => {
        story.breakOff('a', 1)
        story.replay('a', 1)
      },
    ],
    [
      'two requests of one DevNonce of which neither is answered',
      'random',
      'refused_without_reason',
      (story) => {
        story.breakOff('a', 1)
        story.breakOff('changed a', 1)
        story.replay('a', 1)
        story.replay('changed a', 1)
      },
    ],
    [
      'a counter that is refused although none as high was sent',
      'counter',
      'refused_without_reason',
      (story) => {
        story.join('a', 1, 1)
        story.replay('b', 2)
      },
    ],
    [
      'an answer after the same request was refused for good',
      'random',
      'answered_after_refusal',
      (story) => {
        story.join('a', 1, 1)
        story.replay('changed a', 1)
        story.join('changed a', 1, 2)
      },
    ],
    [
      'a request that never gets a decision',
      'random',
      'never_decided',
      (story) => {
        story.breakOff('a', 1)
        story.model.finish()
      },
    ],
    [
      'a refusal that no crash explains',
      'random',
      'unexpected_refusal',
      (story) => {
        story.model.refused(story.keySet, story.send('a', 1), 'MICFailed')
      },
    ],
    [
      'a session that is gone too early',
      'random',
      'session_lost',
      (story) => {
        for (let nonce = 1; nonce <= KEPT; nonce++) story.join(`${nonce}`, nonce, nonce)
        story.keySet.sessionNotFound(success(1), KEPT)
      },
    ],
    [
      'another AppSKey than the device has',
      'random',
      'app_s_key_changed',
      (story) => {
        story.join('a', 1, 1)
        story.keySet.sessionFound(success(1), 'another key')
      },
    ],
  ]

  test.each(planted)('%s (%s)', (_name, rule, kind, told) => {
    const story = new Story(rule)
    told(story)
    expect(story.kinds).toContain(kind)
  })

  const innocent: [string, 'random' | 'counter', Told][] = [
    [
      'joins one after the other, duplicates, and what is refused rightly',
      'counter',
      (story) => {
        story.join('a', 1, 1)
        story.join('a', 1, 1)
        story.join('b', 2, 2)
        story.replay('a', 1)
        story.replay('changed b', 2)
      },
    ],
    [
      'a request sent twice at once, overtaken before its second answer',
      'random',
      (story) => {
        const [first, second] = [story.send('a', 1), story.send('a', 1)]
        story.accept(first, 1)
        story.join('b', 2, 2)
        story.accept(second, 1)
      },
    ],
    [
      'a request that was committed without an answer, and is answered when it comes again',
      'random',
      (story) => {
        story.breakOff('a', 1)
        story.join('a', 1, 1)
      },
    ],
    [
      'a request that was committed without an answer, and overtaken by the next one',
      'random',
      (story) => {
        story.breakOff('a', 1)
        story.join('b', 2, 2)
        story.replay('a', 1)
        story.replay('changed a', 1)
      },
    ],
    [
      'two of one DevNonce that broke off, of which one turns out to be accepted',
      'counter',
      (story) => {
        story.breakOff('a', 1)
        story.breakOff('changed a', 1)
        story.replay('a', 1)
        story.join('changed a', 1, 1)
      },
    ],
    [
      'a session that newer ones took the place of',
      'random',
      (story) => {
        for (let nonce = 1; nonce <= KEPT + 1; nonce++) story.join(`${nonce}`, nonce, nonce)
        story.keySet.sessionNotFound(success(1), KEPT)
        story.keySet.sessionFound(success(2), 'key 2')
      },
    ],
    [
      'a session whose place an undecided request may have taken',
      'random',
      (story) => {
        for (let nonce = 1; nonce <= KEPT; nonce++) story.join(`${nonce}`, nonce, nonce)
        const open = story.send('a', 100)
        story.keySet.sessionNotFound(success(1), KEPT)
        story.accept(open, KEPT + 1)
      },
    ],
  ]

  test.each(innocent)('nothing wrong in %s (%s)', (_name, rule, told) => {
    const story = new Story(rule)
    told(story)
    story.model.finish()
    expect(story.kinds).toEqual([])
  })

  test('what it counts: first answers, duplicates, refusals, and what asking again settled', () => {
    const story = new Story('random')
    story.breakOff('a', 1)
    story.join('a', 1, 1)
    story.join('a', 1, 1)
    story.replay('changed a', 1)
    expect(story.model.counts).toMatchObject({
      answers: 3,
      joins: 1,
      duplicates: 1,
      replays: 1,
      unanswered: 1,
      settled: 1,
    })
  })
})

test('a schedule follows from its seed, and has every victim and moment in it', () => {
  const schedule = makeSchedule(7, 300)
  expect(schedule).toEqual(makeSchedule(7, 300))
  expect(schedule).not.toEqual(makeSchedule(8, 300))
  expect(schedule[0]?.moment).toBe('load')
  expect(new Set(schedule.map(({ victim }) => victim))).toEqual(new Set(VICTIMS))
  expect(new Set(schedule.map(({ moment }) => moment))).toEqual(new Set(MOMENTS))
})
