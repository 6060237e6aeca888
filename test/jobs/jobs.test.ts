import t from 'tap'
import { createClock } from '../../src/clock.ts'
import { deadline } from '../../src/jobs/deadline.ts'
import { createFairGate } from '../../src/jobs/fair-gate.ts'
import { createFixedSchedule } from '../../src/jobs/poll-schedule.ts'
import { isTerminal, publicStatus, sourcesOf, TRANSITIONS, taskStates } from '../../src/jobs/task-states.ts'
import { handClock } from '../support/hand-clock.ts'

t.test('task states', async (t) => {
  for (const [from, to] of Object.entries(TRANSITIONS))
    for (const state of to) t.ok(taskStates.includes(state), `${from} → ${state}`)
  t.strictSame(taskStates.filter(isTerminal), ['completed', 'failed', 'cancelled'])
  t.notOk(sourcesOf('submitting').includes('submitting'), 'a submit is never entered twice')
  t.strictSame(sourcesOf('completed'), ['polling', 'paused'], 'only what was accepted can be completed')
  t.strictSame(
    taskStates.filter((state) => publicStatus(state) === 'processing'),
    ['queued', 'submitting', 'polling', 'paused']
  )
})

t.test('the fixed schedule', async (t) => {
  const schedule = createFixedSchedule()
  const cases = [
    ['image', 'DALLE', 0, 5000],
    ['image', 'GPT4O', 0, 3000],
    ['image', 'DALLE', 250_000, 5000],
    ['video', 'standard', 0, 5000],
    ['video', 'standard', 400_000, 20_000],
    ['video', 'standard', 10_000_000, 60_000]
  ] as const
  for (const [kind, variant, ageMs, want] of cases)
    t.equal(schedule.nextDelay({ kind, variant, ageMs }), want, `${kind} ${variant} at ${ageMs}`)
  t.equal(createFixedSchedule(70).nextDelay({ kind: 'video', variant: 'fast', ageMs: 1e9 }), 70)
})

t.test('the fair gate', async (t) => {
  const { signal } = new AbortController()
  const gate = createFairGate(2)
  const entered: string[] = []
  const enter = async (key: string, name: string, stop = signal) => {
    const leave = await gate.enter(key, stop)
    entered.push(name)
    return leave
  }
  const a1 = await enter('a', 'a1')
  const a2 = await enter('a', 'a2')
  const a3 = enter('a', 'a3')
  const b1 = enter('b', 'b1')
  const gone = new AbortController()
  const b2 = enter('b', 'b2', gone.signal)
  gone.abort(new Error('left'))
  await t.rejects(b2, { message: 'left' })
  a1()
  a1()
  const leaveB1 = await b1
  t.strictSame(
    entered,
    ['a1', 'a2', 'b1'],
    'the one with fewer running goes first; leaving twice frees one place'
  )
  a2()
  ;(await a3)()
  leaveB1()
  t.strictSame(entered, ['a1', 'a2', 'b1', 'a3'])
  const single = createFairGate(1)
  const turns: string[] = []
  const first = await single.enter('a', signal)
  const queue = ['a', 'a', 'b'].map(async (key) => {
    const leave = await single.enter(key, signal)
    turns.push(key)
    leave()
  })
  first()
  await Promise.all(queue)
  t.strictSame(turns, ['b', 'a', 'a'], 'with one place, users take turns')
  const open = createFairGate(0)
  await Promise.all(Array.from({ length: 50 }, () => open.enter('x', signal)))
  await t.rejects(open.enter('x', AbortSignal.abort(new Error('too late'))), { message: 'too late' })
})

t.test('the pace of the fair gate', async (t) => {
  const clock = handClock(0)
  const tooLate = (waitS: number) => new Error(`too late: ${waitS}`)
  const { signal } = new AbortController()
  const rule = { perMinute: 3, clock, tooLate }
  const settled = () => new Promise((resolve) => setImmediate(resolve))

  const gate = createFairGate(0, rule)
  const entered: string[] = []
  const enter = async (key: string, by = 600_000, stop = signal) => {
    const leave = await gate.enter(key, stop, { by })
    entered.push(`${key}@${clock.now() / 1000}`)
    leave()
  }
  for (const at of [0, 10, 20]) {
    clock.pass(at * 1000 - clock.now())
    await enter('a')
  }
  const waiting = ['a', 'a', 'a', 'b'].map((key) => enter(key))
  const gone = new AbortController()
  const leaver = enter('b', 600_000, gone.signal)
  gone.abort(new Error('left'))
  await t.rejects(leaver, { message: 'left' })
  ;(await gate.enter('c', signal))()
  for (let n = 0; n < 140; n++) {
    clock.pass(1000)
    await settled()
  }
  await Promise.all(waiting)
  t.match(
    entered.slice(3).map((one) => one.replace(/\d$/, 'x')),
    ['b@6x', 'a@7x', 'a@8x', 'a@12x'],
    'who had the fewest goes first'
  )
  t.strictSame(entered.slice(0, 3), ['a@0', 'a@10', 'a@20'])

  // Repeats count too.
  clock.pass(300_000)
  for (let n = 0; n < 3; n++) await gate.again(signal, { by: 0 })
  const start = clock.now()
  const late = enter('a', start + 59_000)
  await t.rejects(late, { message: 'too late: 60' }, 'refused at once')
  const inTime = enter('a', start + 61_000)
  const alsoInTime = enter('a', start + 60_500)
  const overflow = enter('b', start + 100_000)
  await settled()
  clock.pass(60_001)
  await Promise.all([inTime, alsoInTime, overflow])

  const busy = createFairGate(1, rule)
  const leave = await busy.enter('a', signal, { by: 1e9 })
  let second = false
  const next = busy.enter('a', signal, { by: 1e9 }).then((done) => {
    second = true
    done()
  })
  await settled()
  t.notOk(second, 'the pace allows it, the limit does not')
  leave()
  await next
})

t.test('who goes first may make another too late', async (t) => {
  const clock = handClock(0)
  const gate = createFairGate(0, { perMinute: 1, clock, tooLate: (waitS) => new Error(`too late: ${waitS}`) })
  const { signal } = new AbortController()
  ;(await gate.enter('a', signal, { by: 0 }))()
  const a = gate.enter('a', signal, { by: 90_000 })
  const b = gate.enter('b', signal, { by: 90_000 })
  await t.rejects(a, { message: 'too late: 120' }, 'told when it is known, not when time is up')
  clock.pass(61_000)
  ;(await b)()
})

t.test('repeats take their place in the pace', async (t) => {
  const clock = handClock(0)
  const { signal } = new AbortController()
  const gate = createFairGate(2, {
    perMinute: 2,
    clock,
    tooLate: (waitS) => new Error(`too late: ${waitS}`)
  })
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const told: string[] = []
  const tell = (name: string, waits: Promise<unknown>) =>
    waits.then(
      () => told.push(`${name}@${Math.floor(clock.now() / 1000)}`),
      (error: Error) => told.push(`${name}: ${error.message}`)
    )
  const leaves = [await gate.enter('a', signal, { by: 0 }), await gate.enter('b', signal, { by: 0 })] as const

  void tell('c', gate.enter('c', signal, { by: 90_000 }))
  void tell('d', gate.enter('d', signal, { by: 150_000 }))
  await settled()
  t.strictSame(told, [], 'both would come in time')
  void tell('a again', gate.again(signal, { by: 90_000 }))
  const gone = new AbortController()
  void tell('who leaves', gate.again(gone.signal, { by: 90_000 }))
  await settled()
  t.strictSame(told, ['c: too late: 120'], 'who came before is told when it is known')
  gone.abort(new Error('left'))
  void tell('b again', gate.again(signal, { by: 90_000 }))
  void tell('too many', gate.again(signal, { by: 90_000 }))
  await settled()
  t.strictSame(told.splice(0), ['c: too late: 120', 'who leaves: left', 'too many: too late: 120'])

  clock.pass(60_001)
  await settled()
  t.strictSame(told.splice(0), ['a again@60', 'b again@60'], 'and need no place of their own')
  for (const leave of leaves) leave()
  await settled()
  t.strictSame(told, [], 'there are places, but no pace')
  clock.pass(60_001)
  await settled()
  t.strictSame(told, ['d@120'])

  const open = createFairGate(1)
  await open.again(signal, { by: 0 })
  await t.rejects(gate.again(AbortSignal.abort(new Error('late')), { by: 1e9 }), { message: 'late' })
})

t.test('who waits for a place may come too late for the pace', async (t) => {
  const clock = handClock(0)
  const { signal } = new AbortController()
  const gate = createFairGate(1, {
    perMinute: 1,
    clock,
    tooLate: (waitS) => new Error(`too late: ${waitS}`)
  })
  const first = await gate.enter('a', signal, { by: 0 })
  const second = gate.enter('b', signal, { by: 130_000 })
  const third = gate.enter('c', signal, { by: 130_000 })
  clock.pass(100_000)
  // The minute is over long since, but the place is free only now.
  first()
  ;(await second)()
  await t.rejects(third, { message: 'too late: 60' })
})

t.test('deadlines', async (t) => {
  const clock = createClock(100)
  const late = deadline(clock, 1000, () => new Error('late'))
  // Deadlines don't keep a process alive by themselves.
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.match(late.signal.reason, { message: 'late' })
  const other = new AbortController()
  const both = deadline(clock, 60_000, () => new Error('late'), other.signal)
  other.abort(new Error('gone'))
  t.match(both.signal.reason, { message: 'gone' })
  both.clear()
  await t.rejects(clock.sleep(1e6, AbortSignal.abort(new Error('stop'))), { message: 'stop' })
  const stop = new AbortController()
  const asleep = clock.sleep(1e6, stop.signal)
  stop.abort(new Error('awake'))
  await t.rejects(asleep, { message: 'awake' })
})
