/** docs/protocol/failures.md section 6, rows P1 to P19: the cells of test/support/fault-rows/copilot.ts. */
import t from 'tap'
import { runGroups } from '../support/fault-rows/cell.ts'
import { copilotGroups } from '../support/fault-rows/copilot.ts'

t.jobs = 3
runGroups(t, copilotGroups)
