import { expect, it } from 'vitest';
import { safeUrl } from './safeUrl';

it('lets addresses of the web and of mail through', () => {
  for (const url of ['https://a.example/?q=1#x', 'HTTP://a.example', 'mailto:a@example.com']) {
    expect(safeUrl(url)).toBe(url);
  }
});

it('drops everything else', () => {
  const others = [
    'javascript:alert(1)',
    'java\nscript:alert(1)',
    ' data:text/html,x',
    'file:///etc',
    '/sign-in',
    '#x',
    '//a',
  ];
  for (const url of [...others, 'https:a', 'vbscript:x', 'blob:x', '']) expect(safeUrl(url)).toBe('');
});
