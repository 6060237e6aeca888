import type { PartialBehaviours } from '../../../src/simulator/index.ts'
import {
  askedOn,
  behave,
  type ChatRig,
  checkFailure,
  checkRefusal,
  type FailingTurn,
  type KeptTurn,
  type Manner,
  NOBODY,
  playFailure,
  playKept,
  playPassing,
  prompt,
  timed,
  untilAPersonActs
} from '../chat-failures.ts'
import type { Want } from '../failure-table.ts'
import { type Column, outcomeOf, type PlayedOn } from './cell.ts'

export const MANNERS = ['plain', 'stream'] as const satisfies Manner[]
export const columnOf = (manner: Manner): Column => `chat ${manner}`

const formOf = (form: string | undefined, more: string) => (form === undefined ? more : `${form}, ${more}`)

/** A row of a table of conversations that can't be started. */
export interface FailingCreate {
  row: string
  form?: string
  create: NonNullable<PartialBehaviours['create']>
  want: Want
  /** Requests, repeats included. */
  creates: number
  /** The least waits before each repeat, in milliseconds. */
  waits?: readonly number[]
}

/** `POST /create_conversation`, failing for good. */
export function createCells(rows: readonly FailingCreate[]): PlayedOn<ChatRig>[] {
  return rows.map(({ row, form, create, want, creates, waits = [] }) => ({
    row,
    form,
    column: 'chat plain',
    async play(t, rig) {
      rig.sim.reset()
      rig.sim.set('create', create)
      const answer = await timed(t, rig, waits, () => rig.start())
      checkFailure(t, row, answer, want)
      t.strictSame(rig.asked(), { ...NOBODY, creates })
      await untilAPersonActs(t, rig, { row, want }, () => rig.start())
      await rig.answered(t, await rig.conversation(), 0)
      t.strictSame(rig.sim.violations, [])
      return outcomeOf(answer, creates)
    }
  }))
}

/** `POST /create_conversation`, where the trouble passes before its repeats are used up. */
export function passingCreateCells(rows: readonly FailingCreate[]): PlayedOn<ChatRig>[] {
  return rows
    .filter(({ creates }) => creates > 1)
    .map(({ row, form, create, creates, waits = [] }) => ({
      row,
      form: formOf(form, 'passing'),
      column: 'chat plain',
      async play(t, rig) {
        rig.sim.reset()
        rig.sim.enqueue('create', ...Array.from({ length: creates - 1 }, () => create))
        const answer = await timed(t, rig, waits, () => rig.start())
        t.equal(answer.status, 200, answer.text)
        t.strictSame(rig.asked(), { ...NOBODY, creates })
        t.strictSame(rig.sim.violations, [])
        return outcomeOf(answer, creates)
      }
    }))
}

/** A first turn whose hub refused the conversation that it had (row W1), so that a fresh one is needed. */
export function freshConversationCells(rows: readonly FailingCreate[], manner: Manner): PlayedOn<ChatRig>[] {
  return rows.map(({ row, form, create, want, creates, waits = [] }) => ({
    row,
    form: formOf(form, 'for a first turn'),
    column: columnOf(manner),
    async play(t, rig) {
      const identity = await rig.conversation()
      const ask = () => rig.ask(identity, { prompt: prompt(0), invocationId: 0 }, manner)
      rig.sim.reset()
      behave(rig.sim, { create, upgrade: { status: 200 } })
      const answer = await timed(t, rig, waits, ask)
      checkRefusal(t, { row, want }, answer, manner)
      t.strictSame(rig.asked(), { creates, upgrades: 1, questions: 0 })
      await untilAPersonActs(t, rig, { row, want }, ask)
      await rig.answered(t, identity, 0)
      await rig.answered(t, identity, 1)
      t.equal(rig.asked().creates, creates, 'in the conversation that it had')
      t.strictSame(rig.sim.violations, [])
      return outcomeOf(answer, creates)
    }
  }))
}

/** How often the hub was asked for what failed. */
function timesOf(row: FailingTurn, turn: number): number {
  const { upgrades, questions } = askedOn(row, turn)
  return row.turn === undefined ? upgrades : questions
}

/**
 * Rows of turns that fail, on each of their turns: for good, and where they are repeated, passing in time. A stream is
 * played on the first of them, and on the others where those differ.
 */
export function turnCells(rows: readonly FailingTurn[]): PlayedOn<ChatRig>[] {
  return rows.flatMap((row) =>
    (row.turns ?? [0, 1]).flatMap((turn, n) =>
      MANNERS.filter((manner) => manner === 'plain' || n === 0 || row.later !== undefined).flatMap(
        (manner): PlayedOn<ChatRig>[] => {
          const form = formOf(row.form, `turn ${turn}`)
          const column = columnOf(manner)
          const cell: PlayedOn<ChatRig> = {
            row: row.row,
            form,
            column,
            play: async (t, rig) =>
              outcomeOf(await playFailure(t, rig, row, turn, manner), timesOf(row, turn))
          }
          if (manner === 'stream' || askedOn(row, turn).upgrades === 1) return [cell]
          return [
            cell,
            {
              row: row.row,
              form: formOf(form, 'passing'),
              column,
              play: async (t, rig) =>
                outcomeOf(await playPassing(t, rig, row, turn), askedOn(row, turn).upgrades)
            }
          ]
        }
      )
    )
  )
}

/** Rows of turns that succeed although something is wrong, on each of their turns. */
export function keptCells(rows: readonly KeptTurn[]): PlayedOn<ChatRig>[] {
  return rows.flatMap((row) =>
    MANNERS.flatMap((manner) =>
      (row.only === undefined ? [0, 1] : [row.only]).map(
        (turn): PlayedOn<ChatRig> => ({
          row: row.row,
          form: formOf(row.form, `turn ${turn}`),
          column: columnOf(manner),
          play: async (t, rig) => outcomeOf(await playKept(t, rig, row, turn, manner), 1)
        })
      )
    )
  )
}
