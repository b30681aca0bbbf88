// Looks at a page as a person with poor sight, a phone, or a dark room would, and takes a picture.

import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const DESK = { width: 1024, height: 768 }
const PHONE = { width: 360, height: 740 }
const NARROW = { width: 320, height: 640 } // what 400 % zoom on a desk comes to (WCAG 1.4.10)
const SMALLEST_TARGET = 44

export class Looker {
  faults = []
  #pages = 0

  constructor(folder) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
  }

  async look(page, name) {
    this.#pages++
    const number = String(this.#pages).padStart(2, '0')
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize(DESK)
      await this.#axe(page, `${name}, ${colorScheme}`)
      await this.#picture(page, `${number}-${name}-${colorScheme}`)
      await page.setViewportSize(PHONE)
      await this.#picture(page, `${number}-${name}-${colorScheme}-phone`)
    }
    await this.#fits(page, `${name}, ${PHONE.width} px`)
    await this.#targets(page, `${name}, ${PHONE.width} px`)
    await page.setViewportSize(NARROW)
    await this.#fits(page, `${name}, ${NARROW.width} px`)
    await page.evaluate(() => { document.documentElement.dir = 'rtl' })
    await this.#fits(page, `${name}, right to left`)
    await page.evaluate(() => { document.documentElement.dir = 'ltr' })
    await page.setViewportSize(DESK)
    await page.emulateMedia({ colorScheme: 'light' })
    await this.#targets(page, name)
  }

  async #picture(page, file) {
    await page.screenshot({ path: join(this.folder, `${file}.png`), fullPage: true })
  }

  async #axe(page, where) {
    await page.evaluate(AXE)
    const { violations } = await page.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules }), RULES)
    for (const { id, help, nodes } of violations) {
      this.faults.push(`${where}: ${id} (${help}) at ${nodes.map((node) => node.target.join(' ')).join('; ')}`)
    }
  }

  async #fits(page, where) {
    const { wide, screen } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      screen: document.documentElement.clientWidth,
    }))
    if (wide > screen) this.faults.push(`${where}: ${wide} px wide, scrolls sideways`)
  }

  async #targets(page, where) {
    const small = await page.evaluate((smallest) => {
      return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
        .map((element) => {
          // The label belongs to the target of a check box.
          const parts = [element, ...(element.labels ?? [])].map((part) => part.getBoundingClientRect())
          const width = Math.max(...parts.map((p) => p.right)) - Math.min(...parts.map((p) => p.left))
          const height = Math.max(...parts.map((p) => p.bottom)) - Math.min(...parts.map((p) => p.top))
          return { name: element.innerText?.trim() || element.name || element.id, width, height }
        })
        .filter(({ width, height }) => width > 0 && (width < smallest || height < smallest))
        .map(({ name, width, height }) => `${name} (${Math.round(width)} × ${Math.round(height)})`)
    }, SMALLEST_TARGET)
    for (const target of small) this.faults.push(`${where}: smaller than ${SMALLEST_TARGET} px: ${target}`)
  }
}
