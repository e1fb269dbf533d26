#!/usr/bin/env python3
"""The report in a real browser: it draws, sorts, prints, fits a phone and loads nothing.

report_browser_test.py FLOPLEDGER drives Debian's chromium through chromedriver (W3C WebDriver, by
the standard library alone). Without them it is skipped (exit code 77), and says so; where
FLOPLEDGER_REQUIRE_BROWSER is set, as in CI, that is a failure.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

FLOPLEDGER = ''
FOLDER = Path()
HOSTILE = '</script><script>window.taken = 1</script><img src=x onerror="window.taken = 2">\'"&\n'
TINY = {'vocab_size': 50, 'context_length': 24, 'num_layers': 3, 'd_model': 24, 'num_heads': 3,
        'd_ff': 40}


class Browser:
    """One session of chromium."""

    def __init__(self):
        self.driver = subprocess.Popen(['chromedriver', '--port=0'], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        port = None
        for line in self.driver.stdout:
            found = re.search(r'on port (\d+)', line)
            if found and 'successfully' in line:
                port = found[1]
                break
        if port is None:
            raise RuntimeError('chromedriver did not start')
        self.base = f'http://127.0.0.1:{port}'
        options = {'args': ['--headless=new', '--no-sandbox', '--disable-gpu',
                            '--disable-dev-shm-usage', '--disable-background-networking',
                            f'--user-data-dir={FOLDER}/profile']}
        capabilities = {'browserName': 'chrome', 'goog:chromeOptions': options,
                        'goog:loggingPrefs': {'performance': 'ALL', 'browser': 'ALL'}}
        answer = self.call('POST', '/session', {'capabilities': {'alwaysMatch': capabilities}})
        self.base += '/session/' + answer['sessionId']

    def close(self):
        try:
            self.call('DELETE', '')
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()

    def call(self, method, path, body=None):
        data = json.dumps(body or {}).encode() if method == 'POST' else None
        request = urllib.request.Request(self.base + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)['value']

    def devtools(self, command, **parameters):
        return self.call('POST', '/goog/cdp/execute', {'cmd': command, 'params': parameters})

    def screen(self, width, height=900, scheme='light'):
        self.devtools('Emulation.setDeviceMetricsOverride', width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)
        self.devtools('Emulation.setEmulatedMedia',
                      features=[{'name': 'prefers-color-scheme', 'value': scheme}])

    def open(self, page):
        self.log('performance'), self.log('browser')  # what came before
        self.call('POST', '/url', {'url': page.as_uri()})

    def log(self, kind):
        return self.call('POST', '/se/log', {'type': kind})

    def requests(self):
        """The addresses that were asked for since the page was opened."""
        addresses = []
        for entry in self.log('performance'):
            message = json.loads(entry['message'])['message']
            if message['method'] == 'Network.requestWillBeSent':
                addresses.append(message['params']['request']['url'])
        return addresses

    def run(self, script, *arguments):
        return self.call('POST', '/execute/sync', {'script': script, 'args': arguments})

    def element(self, css):
        return next(iter(self.call('POST', '/element',
                                   {'using': 'css selector', 'value': css}).values()))

    def click(self, css):
        element = self.element(css)
        self.run('arguments[0].scrollIntoView({block: "center"})',
                 {'element-6066-11e4-a52e-4f735466cecf': element})
        self.call('POST', f'/element/{element}/click')

    def press_enter(self, css):
        self.call('POST', f'/element/{self.element(css)}/value', {'text': '\ue007'})


def flopledger(*words):
    """Runs the program. Exit code 1 is a run with its ledger in which a row is above the peak of
    the moment, as happens beside other work."""
    done = subprocess.run([FLOPLEDGER, *map(str, words)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    if done.returncode > 1:
        raise RuntimeError(f'{words}: exit code {done.returncode}')


def write(name, ledger):
    path = FOLDER / name
    path.write_text(json.dumps(ledger))
    return path


def page_of(*results, name='page.html'):
    page = FOLDER / name
    flopledger('report', *results, '--out', page)
    return page


LEDGER = '[aria-labelledby=run-ledger] table'
COLUMN = '''const [selector, column] = arguments;
  return Array.from(document.querySelector(selector).tBodies[0].rows,
                    (row) => row.cells[column].textContent);'''


# Pairs of labels of one picture of which two letters come closer than 5 pixels, by their middles.
OVERLAPS = '''
  const found = [];
  for (const svg of document.querySelectorAll('svg.roofline')) {
    if (svg.getBoundingClientRect().width === 0) continue;
    const letters = (text) => {
      const toScreen = text.getScreenCTM();
      return Array.from({length: text.getNumberOfChars()}, (_, i) => {
        const box = text.getExtentOfChar(i);
        return new DOMPoint(box.x + box.width / 2, box.y + box.height / 2)
            .matrixTransform(toScreen);
      });
    };
    const labels = Array.from(svg.querySelectorAll('text'),
                              (text) => ({text: text.textContent, letters: letters(text)}));
    labels.forEach((one, i) => labels.slice(i + 1).forEach((other) => {
      const close = one.letters.some((a) => other.letters.some(
          (b) => Math.hypot(a.x - b.x, a.y - b.y) < 5));
      if (close) found.push([one.text, other.text]);
    }));
  }
  return found;'''


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        model = write('tiny.json', TINY)
        cls.results = FOLDER / 'results.json'
        flopledger('run', '--model', model, '--threads', 1, '--json', cls.results, '--count', 'full',
                   '--benchmark_repetitions=3', '--benchmark_min_time=0.01')
        cls.ledger = json.loads(cls.results.read_text())
        cls.ops = [row for row in cls.ledger['rows'] if row['kind'] != 'total']
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.browser.screen(1280)

    def numbers(self, column):
        texts = self.browser.run(COLUMN, LEDGER, column)
        return [float(text.replace(',', '')) if text else None for text in texts]

    def assert_clean(self, page):
        """Nothing but the page itself was asked for, and nothing was complained about. The browser's own
        start page, which may still be loading, asks for chrome: addresses, as no other page can."""
        others = [url for url in self.browser.requests()
                  if url != page.as_uri() and not url.startswith(('data:', 'chrome:'))]
        self.assertEqual(others, [])
        self.assertEqual(self.browser.log('browser'), [])

    def test_draws_and_loads_nothing(self):
        page = page_of(self.results)
        self.browser.open(page)
        self.assertEqual(self.browser.requests(), [page.as_uri()])
        self.assertLess(page.stat().st_size, 300_000)
        dots = self.browser.run('''
            const svg = document.querySelector('.wide svg.roofline');
            const frame = svg.getBoundingClientRect();
            const inside = (dot) => {
              const box = dot.getBoundingClientRect();
              return box.width > 0 && box.left > frame.left && box.right < frame.right &&
                     box.top > frame.top && box.bottom < frame.bottom;
            };
            return Array.from(svg.querySelectorAll('circle.dot'), inside);''')
        drawn = [row for row in self.ops if row['executed_flops']]
        self.assertEqual(dots, [True] * len(drawn))
        self.assertEqual(self.browser.run(COLUMN, LEDGER, 0), [row['op'] for row in self.ops])
        self.assertEqual(self.browser.log('browser'), [])

    def test_sorts_by_mouse_and_by_keyboard(self):
        self.browser.open(page_of(self.results))
        before = self.browser.run(COLUMN, LEDGER, 0)
        heading = f'{LEDGER} thead th:nth-child(%d)'
        self.browser.click(heading % 7 + ' button')  # time
        times = self.numbers(6)
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertNotEqual(self.browser.run(COLUMN, LEDGER, 0), before)
        sort = 'return document.querySelector(arguments[0]).getAttribute("aria-sort")'
        self.assertEqual(self.browser.run(sort, heading % 7), 'descending')
        self.browser.press_enter(heading % 7 + ' button')
        self.assertEqual(self.numbers(6), sorted(times))
        self.assertEqual(self.browser.run(sort, heading % 7), 'ascending')
        self.browser.press_enter(heading % 1 + ' button')  # names
        self.assertEqual(self.browser.run(COLUMN, LEDGER, 0), sorted(before))
        self.assertIsNone(self.browser.run(sort, heading % 7))
        self.browser.click(heading % 10 + ' button')  # rate, which not every operation has
        rates = self.numbers(9)
        known = [rate for rate in rates if rate is not None]
        self.assertLess(len(known), len(rates))
        self.assertEqual(rates[:len(known)], sorted(known, reverse=True))

    def test_fits_a_phone(self):
        self.browser.screen(400)
        self.browser.open(page_of(self.results))
        wide, narrow, page = self.browser.run('''
            const width = (css) => document.querySelector(css).getBoundingClientRect().width;
            return [width('.wide'), width('.narrow svg'), document.documentElement.scrollWidth];''')
        self.assertEqual(wide, 0)
        self.assertGreater(narrow, 300)
        self.assertLessEqual(page, 400)

    def test_labels_keep_clear_of_each_other(self):
        page = page_of(self.results)
        for width in 1280, 400:
            self.browser.screen(width)
            self.browser.open(page)
            self.assertEqual(self.browser.run(OVERLAPS), [])

    def test_zooms_on_the_operations_of_most_of_the_time(self):
        self.browser.open(page_of(self.results))
        whole, zoom = self.browser.run('''
            return Array.from(document.querySelectorAll('.wide svg'),
                              (svg) => svg.querySelectorAll('circle').length);''')
        self.assertLess(zoom, whole)
        self.assertGreater(zoom, 0)

    def test_tells_once_what_is_unavailable_throughout(self):
        ledger = json.loads(self.results.read_text())
        for row in ledger['rows']:
            row.update(measured_flops=None, flops_ratio=None, flops_note='nothing counted here')
        self.browser.open(page_of(write('uncounted.json', ledger)))
        text = self.browser.run(
            'return document.querySelector("[aria-labelledby=run-accounting]").innerText')
        self.assertEqual(text.count('nothing counted here'), 1)
        self.assertEqual(text.count('unavailable'), 1 + ('Predicted seconds' in text))

    def test_is_light_and_dark(self):
        page = page_of(self.results)
        shades = {}
        for scheme in 'light', 'dark':
            self.browser.screen(1280, scheme=scheme)
            self.browser.open(page)
            colours = self.browser.run('''
                const style = getComputedStyle(document.body);
                return [style.backgroundColor, style.color];''')
            shades[scheme] = [sum(map(int, re.findall(r'\d+', colour)[:3])) for colour in colours]
        self.assertGreater(shades['light'][0], shades['light'][1] + 500)
        self.assertLess(shades['dark'][0], shades['dark'][1] - 500)

    def test_prints(self):
        self.browser.open(page_of(self.results, self.results))  # what is folded is unfolded
        pdf = base64.b64decode(self.browser.call('POST', '/print'))
        self.assertTrue(pdf.startswith(b'%PDF-'))
        self.assertGreaterEqual(len(re.findall(rb'/Type\s*/Page\b', pdf)), 2)
        self.assertTrue(self.browser.run(
            'return [...document.querySelectorAll("details")].every((one) => one.open)'))

    def test_two_hundred_hostile_operations(self):
        ledger = json.loads(self.results.read_text())
        ledger['rows'] = [dict(self.ops[2], op=f'{HOSTILE}{i}', flops_note=HOSTILE, kind=HOSTILE)
                          for i in range(200)]
        for row in ledger['rows']:
            row['model'] = row['matmul'] = HOSTILE
            row['measured_flops'] = None
        ledger['environment']['cpu'] = HOSTILE
        page = page_of(write(HOSTILE.replace('/', '').replace('\n', '') + '.json', ledger))
        for width in 400, 1280:
            self.browser.screen(width)
            self.browser.open(page)
            self.assertIsNone(self.browser.run('return window.taken'))
            self.assertEqual(self.browser.run('return document.images.length'), 0)
            self.assertEqual(self.browser.run(
                'return document.querySelector(".wide svg").querySelectorAll("circle").length'), 200)
            self.assertLessEqual(self.browser.run('return document.documentElement.scrollWidth'), width)
            self.assert_clean(page)

    def test_one_operation_and_none_measured(self):
        ledger = json.loads(self.results.read_text())
        row = dict(self.ops[2], measured_flops=None, executed_flops=None, time_s=None,
                   time_mad_s=None, gflops=None, pct_peak=None, peak_gflops=None,
                   flops_note='for a reason of its own')
        page = page_of(write('one.json', dict(ledger, rows=[row])))
        self.browser.open(page)
        text = self.browser.run('return document.body.innerText')
        self.assertIn('for a reason of its own', text)
        self.assertIn('unavailable', text)
        self.assertEqual(self.browser.run('return document.querySelectorAll("circle").length'), 0)
        self.assert_clean(page)

    def test_compares(self):
        page = page_of(self.results, self.results, self.results)
        self.browser.open(page)
        self.assertEqual(self.browser.run('return document.querySelectorAll("details").length'), 3)
        self.assertIn('3 runs compared', self.browser.run('return document.body.innerText'))
        repeated = self.browser.run('''
            const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
            return ids.filter((id, index) => ids.indexOf(id) !== index);''')
        self.assertEqual(repeated, [])
        self.assert_clean(page)


def main():
    global FLOPLEDGER, FOLDER
    FLOPLEDGER = sys.argv.pop(1)
    missing = [name for name in ('chromium', 'chromedriver') if shutil.which(name) is None]
    if missing:
        required = bool(os.environ.get('FLOPLEDGER_REQUIRE_BROWSER'))
        print(f'{"FAILED" if required else "skipped"}: {" and ".join(missing)} not found; '
              'scripts/test installs chromium and chromium-driver')
        sys.exit(1 if required else 77)
    with tempfile.TemporaryDirectory(prefix='flopledger-', ignore_cleanup_errors=True) as folder:
        FOLDER = Path(folder)
        os.environ['XDG_CACHE_HOME'] = folder  # counts that a run keeps
        program = unittest.main(exit=False, verbosity=2)
    sys.exit(0 if program.result.wasSuccessful() else 1)


if __name__ == '__main__':
    main()
