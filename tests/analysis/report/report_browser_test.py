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


# Pairs of labels of one picture of which two letters come closer than 6 pixels, by their middles,
# labels that stand on a dot, and labels that leave the screen.
OVERLAPS = '''
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
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
          (b) => Math.hypot(a.x - b.x, a.y - b.y) < 6));
      if (close) found.push([one.text, other.text]);
    }));
    const dots = Array.from(svg.querySelectorAll('circle.dot'), (dot) => {
      const box = dot.getBoundingClientRect();
      return {x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, r: box.width / 2};
    });
    for (const label of labels) {
      const covered = dots.some((dot) => label.letters.some(
          (at) => Math.hypot(at.x - dot.x, at.y - dot.y) < dot.r));
      if (covered) found.push([label.text, 'a dot']);
      if (label.letters.some((at) => at.x < 0 || at.x > document.documentElement.clientWidth)) {
        found.push([label.text]);
      }
    }
  }
  return found;'''


def calibrated(ledger, bandwidths):
    """The ledger with a machine's ceilings: bandwidth of each level in bytes a second."""
    measured = lambda value: {'median': value, 'mad': 0}
    capacities = {'L1': 65_536, 'L2': 2_097_152, 'L3': 33_554_432}
    peak = next(row['peak_gflops'] for row in ledger['rows']) * 1e9
    ceilings = {
        'threads': ledger['rows'][0]['threads'],
        'fma': [{'simd': 'AVX2', 'flops_per_s': measured(peak)}],
        'bandwidth': [{'level': level, 'capacity_bytes': capacities.get(level),
                       'read_bytes_per_s': measured(rate), 'triad_bytes_per_s': measured(rate)}
                      for level, rate in bandwidths.items()],
        'product_flops_per_s': measured(peak), 'fork_join_s': measured(1e-6),
        'exp_s': measured(1e-9), 'clock_hz': measured(3e9),
        'theoretical_flops_per_s': measured(1.02 * peak)}
    ledger = json.loads(json.dumps(ledger))
    ledger['environment']['calibration'] = {
        'taken': '2026-11-26T11:05:51Z', 'ceilings': [ceilings], 'scaled_to': None,
        'total_by_the_peak_alone_s': None}
    return ledger


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        model = write('tiny.json', TINY)
        cls.results = FOLDER / 'results.json'
        flopledger('run', '--model', model, '--threads', 1, '--json', cls.results, '--count', 'full',
                   '--benchmark_repetitions=3', '--benchmark_min_time=0.01')
        cls.ledger = json.loads(cls.results.read_text())
        cls.ops = [row for row in cls.ledger['rows'] if row['kind'] != 'total']
        rates = {'L1': 4.3e11, 'L2': 2.02e11, 'L3': 1.65e11, 'memory': 3.24e10}
        cls.calibrated = write('calibrated.json', calibrated(cls.ledger, rates))
        slower = json.loads(cls.results.read_text())
        for row in slower['rows']:
            row.update(run_id='tiny-20261126T110551.000Z', time_s=1.3 * row['time_s'],
                       samples_s=[1.3 * seconds for seconds in row['samples_s']])
        cls.slower = write('slower.json', slower)
        cls.sweep = FOLDER / 'sweep.json'
        flopledger('run', '--model', model, '--threads', 1, '--context', '6,12,24', '--matmul',
                   'packed,eigen', '-r', 2, '--json', cls.sweep, '--benchmark_min_time=0.01')
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
        page = page_of(self.calibrated)
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

    def every_page(self):
        """Of a run with and without a calibration, of a sweep, of a comparison."""
        return {'run': page_of(self.results, name='run.html'),
                'calibrated': page_of(self.calibrated, name='calibrated.html'),
                'sweep': page_of(self.sweep, name='sweep.html'),
                'comparison': page_of(self.results, self.slower, name='comparison.html')}

    def test_fits_a_phone(self):
        self.browser.screen(390)
        for name, page in self.every_page().items():
            self.browser.open(page)
            with self.subTest(name):
                wide, narrow, scrolled, taller = self.browser.run('''
                    for (const one of document.querySelectorAll('details')) one.open = true;
                    const width = (css) => document.querySelector(css).getBoundingClientRect().width;
                    return [width('.wide'), width('.narrow svg'),
                            document.documentElement.scrollWidth,
                            document.querySelector('.glossary').getBoundingClientRect().right];''')
                self.assertEqual(wide, 0)
                self.assertGreater(narrow, 300)
                self.assertLessEqual(scrolled, 390)
                self.assertLessEqual(taller, 390)

    def test_says_of_which_tables_there_is_more_at_the_side(self):
        hints = '''return [...document.querySelectorAll('.hint')].map((hint) => {
            const box = hint.nextElementSibling;
            return [hint.getBoundingClientRect().height > 0, box.scrollWidth > box.clientWidth + 1];
        });'''
        for width in 390, 1400:
            self.browser.screen(width)
            self.browser.open(page_of(self.results))
            found = self.browser.run(hints)
            self.assertEqual([shown for shown, _ in found], [more for _, more in found])
            self.assertEqual(any(shown for shown, _ in found), width == 390 or found[-1][1])

    def test_labels_keep_clear_of_each_other(self):
        near = {'L1': 2.3e11, 'L2': 2.1e11, 'L3': 2e11, 'memory': 1.9e11}
        far = {'L1': 9e12, 'L2': 8e11, 'L3': 9e10, 'memory': 2e8}
        pages = self.every_page()
        for name, rates in ('near', near), ('far', far):
            pages[name] = page_of(write(f'{name}.json', calibrated(self.ledger, rates)),
                                  name=f'{name}.html')
        slow = json.loads(self.results.read_text())  # beside others near the peak
        for row in slow['rows']:
            factor = 0.01 / row['time_s'] if row['kind'] in ('norm', 'residual') else 1
            row.update(time_s=factor * row['time_s'], time_mad_s=factor * row['time_mad_s'])
        pages['slow'] = page_of(write('slow.json', calibrated(slow, far)), name='slow.html')
        for width in 1400, 800, 390:
            self.browser.screen(width)
            for name, page in pages.items():
                self.browser.open(page)
                with self.subTest(name, width=width):
                    self.assertEqual(self.browser.run(OVERLAPS), [])

    def test_a_comparison_has_a_bar_for_each_operation_within_its_line(self):
        for width in 1400, 390:
            self.browser.screen(width)
            self.browser.open(page_of(self.results, self.slower))
            bars = self.browser.run('''
                return [...document.querySelectorAll('.ratio')].map((line) => {
                  const [whole, bar, dot] = [line, line.querySelector('b'), line.querySelector('i')]
                      .map((one) => one.getBoundingClientRect());
                  return bar.width > 0 && dot.width > 0 && whole.left - 1 <= bar.left &&
                         bar.left < dot.right && dot.left < bar.right &&
                         bar.right <= whole.right + 1;
                });''')
            self.assertEqual(bars, [True] * (len(self.ops) + 1))

    def test_a_sweep_is_a_chart_with_its_points(self):
        self.browser.open(page_of(self.sweep))
        charts = self.browser.run('''
            return [...document.querySelectorAll('[aria-labelledby=sweep] .wide svg')].map(
                (svg) => [svg.querySelectorAll('.point').length,
                          [...svg.querySelectorAll('.grid text')].map((text) => text.textContent)]);''')
        self.assertEqual([points for points, _ in charts], [6, 6])
        for _, texts in charts:
            self.assertLessEqual({'6', '12', '24', 'context'}, set(texts))

    def test_a_heading_leads_to_its_word(self):
        self.browser.open(page_of(self.results))
        self.browser.click('[aria-labelledby=run-shares] h2 a')
        word, top = self.browser.run('''
            const word = document.querySelector(':target');
            return [word.querySelector('dt').textContent, word.getBoundingClientRect().top];''')
        self.assertEqual(word, 'share of peak')
        self.assertTrue(-1 < top < 900, top)

    def test_zooms_on_the_operations_of_most_of_the_time(self):
        self.browser.open(page_of(self.calibrated))
        whole, zoom = self.browser.run('''
            return Array.from(document.querySelectorAll('.wide svg.roofline'),
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
        ledger = calibrated(ledger, {'memory': 3e10})
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
