import { answerGroups } from './answer.ts'
import type { Group } from './cell.ts'
import { connectionGroups } from './connection.ts'
import { copilotGroups } from './copilot.ts'
import { createGroups } from './create.ts'
import { imageGroups } from './images.ts'
import { networkGroups, slowGroups } from './network.ts'
import { ownSideGroups } from './own-side.ts'
import { transportGroups } from './transport.ts'
import { videoGroups } from './video.ts'

/** Every cell of the fault matrix. The slow ones come first, so that the others are played meanwhile. */
export const allGroups: readonly Group[] = [
  ...slowGroups,
  ...transportGroups,
  ...networkGroups,
  ...createGroups,
  ...connectionGroups,
  ...answerGroups,
  ...ownSideGroups,
  ...copilotGroups,
  ...imageGroups,
  ...videoGroups
]
