import { expect, test } from 'vitest';
import { numberOf, rangeProblem } from './numberOf';

test('what is typed is what is sent', () => {
  expect(numberOf('')).toBeUndefined();
  expect(numberOf(-5)).toBe(-5);
  expect(numberOf('99999999999999999999')).toBe(1e20);
  expect(numberOf('-')).toBe('-');
});

test('numbers out of their limits are told which these are', () => {
  expect(rangeProblem(undefined, 1)).toBeUndefined();
  expect(rangeProblem(5, 1, 5)).toBeUndefined();
  expect(rangeProblem(0, 1)).toBe('At least 1');
  expect(rangeProblem(3, undefined, 2)).toBe('At most 2');
  expect(rangeProblem(3, 0, 2)).toBe('From 0 to 2');
  expect(rangeProblem(numberOf('-'), 0, 2)).toBe('This is not a number');
});
