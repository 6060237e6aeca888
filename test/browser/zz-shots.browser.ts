import t from 'tap'
import { createKeyStore } from '../../src/store/key-store.ts'
import { visit } from '../support/browser.ts'
import { startGateway, USER } from '../support/gateway.ts'

t.test('shots', async (t) => {
  const gateway = await startGateway(t, { config: { AUTH_MODE: 'key', DEFAULT_LIMITS: 'images=3/d' } })
  gateway.sim.set('media', { plain: false })
  const { key } = await createKeyStore(gateway.app.store.database).create(USER, Date.now(), null)
  const h = { authorization: `Bearer ${key}` }
  for (const q of [
    'My favourite colour is green',
    'compare two options in a very long question that goes on and on until nobody can read it any more'
  ]) {
    const { invocationId, ...c } = (await gateway.post('/create_conversation', { userId: USER }, h)).json
    await gateway.post('/chatgpt', { ...c, prompt: q }, h)
  }
  const { page, screenshot } = await visit(t, `${await gateway.listen()}/studio`)
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.getByLabel('API key', { exact: true }).fill('bgw_wrong')
  await page.keyboard.press('Tab')
  await page.locator('#recent-trouble .error').waitFor()
  await page.setViewportSize({ width: 1024, height: 800 })
  await screenshot('a-1024-bad', false)
  await page.setViewportSize({ width: 390, height: 800 })
  await screenshot('a-390-bad', false)
  await page.setViewportSize({ width: 1360, height: 900 })
  await page.getByLabel('API key', { exact: true }).fill(key)
  await page.getByLabel('User name').fill(USER)
  await page.locator('#history summary').click()
  await page.locator('.history-open').nth(1).waitFor()
  await page.getByLabel('What should be in the picture?').fill('a lighthouse above the sea')
  await page.getByLabel('Portrait').check()
  await page.getByRole('button', { name: 'Create images' }).click()
  await page.locator('#image-result img').nth(3).waitFor()
  await page.getByLabel('What should happen in the video?').fill('waves')
  await page.getByRole('button', { name: 'Create video' }).click()
  await page.locator('#video-result video').waitFor()
  for (let n = 0; n < 2; n++)
    await gateway.post('/create/image', { query: `boat ${n}`, aspect: 'LANDSCAPE' }, h)
  await page.getByLabel('Square').check()
  await page.getByRole('button', { name: 'Create images' }).click()
  await page.locator('#image-result .error').waitFor()
  await screenshot('b-dark')
  await page.setViewportSize({ width: 390, height: 800 })
  await screenshot('b-390-dark')
  await page.emulateMedia({ colorScheme: 'light' })
  await page.reload()
  await page.locator('#history summary').click()
  await page.locator('.history-open').nth(0).click()
  await page.locator('#chat-closed').waitFor()
  await page.locator('#recent .card').nth(3).waitFor()
  await screenshot('c-390-light')
})
