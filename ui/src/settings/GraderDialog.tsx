import {
  Button,
  Checkbox,
  Group,
  Modal,
  NumberInput,
  Select,
  Stack,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { metricsQuery, modelsQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { fieldError, otherError } from '../components/fieldError';
import { gradersQuery } from './queries';

interface GraderDialogProps {
  project: string;
  opened: boolean;
  onClose: () => void;
}

/** A new judge. Without a scale it says pass, fail or not applicable. */
export function GraderDialog({ project, opened, onClose }: GraderDialogProps) {
  const client = useQueryClient();
  const { data: models = [] } = useQuery({ ...modelsQuery(project), enabled: opened });
  const [key, setKey] = useState('');
  const [criteria, setCriteria] = useState('');
  const [model, setModel] = useState<string | null>(null);
  const [rate, setRate] = useState<number | string>(100);
  const [scaled, setScaled] = useState(false);
  const [least, setLeast] = useState<number | string>(1);
  const [greatest, setGreatest] = useState<number | string>(5);
  const create = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/graders', {
          body: {
            project,
            key: key.trim(),
            criteria,
            model: model ?? '',
            sampling_rate: Number(rate) / 100,
            enabled: true,
            examples: [],
            ...(scaled ? { scale: { min: Number(least), max: Number(greatest) } } : {}),
          },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: gradersQuery(project).queryKey });
      await client.invalidateQueries({ queryKey: metricsQuery(project).queryKey });
      close();
    },
  });
  const close = () => {
    create.reset();
    setKey('');
    setCriteria('');
    onClose();
  };
  const wrong = (...names: string[]) => fieldError(create.error, ...names);
  const rest = otherError(create.error, 'key', 'criteria', 'model', 'sampling_rate', 'scale');
  return (
    <Modal opened={opened} onClose={close} title="Create grader" size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput
            label="Key"
            placeholder="polite"
            required
            data-autofocus
            value={key}
            onChange={(event) => setKey(event.currentTarget.value)}
            error={wrong('key')}
          />
          <Textarea
            label="Criteria"
            description="What a good answer is, in your words"
            placeholder="The answer is polite."
            required
            autosize
            minRows={3}
            value={criteria}
            onChange={(event) => setCriteria(event.currentTarget.value)}
            error={wrong('criteria')}
          />
          <Group grow align="flex-start">
            <Select
              label="Judge"
              description="The larger the model, the better it judges"
              required
              data={models.map((found) => found.id.slice(project.length + 1))}
              value={model}
              onChange={setModel}
              error={wrong('model')}
            />
            <NumberInput
              label="Share"
              description="Of new interactions"
              suffix=" %"
              min={0}
              max={100}
              value={rate}
              onChange={setRate}
              error={wrong('sampling_rate')}
            />
          </Group>
          <Checkbox
            label="Give a number instead of pass or fail"
            checked={scaled}
            onChange={(event) => setScaled(event.currentTarget.checked)}
          />
          {scaled && (
            <Group grow align="flex-start">
              <NumberInput
                label="Least"
                allowDecimal={false}
                value={least}
                onChange={setLeast}
                error={wrong('scale')}
              />
              <NumberInput label="Greatest" allowDecimal={false} value={greatest} onChange={setGreatest} />
            </Group>
          )}
          {rest && <ErrorNotice error={rest} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
