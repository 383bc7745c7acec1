import { TagsInput } from '@mantine/core';
import { useState } from 'react';

interface LabelsInputProps {
  value: Record<string, string>;
  onChange: (labels: Record<string, string> | undefined) => void;
  /** What the server says of them. */
  error?: string;
}

/** Labels as `key=value`. */
export function LabelsInput({ value, onChange, error }: LabelsInputProps) {
  const [refused, setRefused] = useState<string | null>(null);
  const change = (tags: string[]) => {
    setRefused(null);
    const pairs = tags.map((tag): [string, string] => {
      const at = tag.indexOf('=');
      return [tag.slice(0, at).trim(), tag.slice(at + 1).trim()];
    });
    const labels = Object.fromEntries(pairs);
    onChange(Object.keys(labels).length ? labels : undefined);
  };
  return (
    <TagsInput
      label="Labels"
      description="key=value pairs by which the interactions are found again"
      placeholder="app=playground"
      maxTags={64}
      value={Object.entries(value).map(([key, text]) => `${key}=${text}`)}
      isDuplicate={(tag, tags) => !isPair(tag) || tags.includes(tag)}
      // Also asked of nothing, when somebody goes on to another field.
      onDuplicate={(tag) => setRefused(tag.trim() && !isPair(tag) ? tag : null)}
      error={refused === null ? error : `“${refused}” is no label yet: write key=value`}
      onChange={change}
    />
  );
}

/** Whether there is a key in front of the first equals sign. */
const isPair = (tag: string) => /^\s*[^\s=]/.test(tag) && tag.includes('=');
